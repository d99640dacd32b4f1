// SPDX-License-Identifier: BSD-2-Clause
// Signals are blocked but in screen_wait, so that they come at one place only.
#include "cli/top/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Another page, no cursor; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[2J";
static const char leave[] = "\033[?25h\033[?1049l";

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};

static struct termios before;
static bool has_keys;	 /* standard input is a terminal too */
static sigset_t outside; /* the signals that were blocked before */
static volatile sig_atomic_t came;

static void note_screen(int signal)
{
	/* What ends the program comes before what only changes the picture. */
	if (!came || signal != SIGWINCH)
		came = signal;
}

void screen_write(const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(STDOUT_FILENO, text, length);

		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (written > 0) {
			text += written;
			length -= (size_t)written;
		}
	}
}

static void take_over(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	screen_write(enter, strlen(enter));
}

static void give_back(void)
{
	screen_write(leave, strlen(leave));
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void catch_screen_signals(void)
{
	struct sigaction action = {.sa_handler = note_screen};
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++) {
		sigaddset(&block, caught[i]);
		sigaction(caught[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, &outside);
}

int screen_open(void)
{
	if (!isatty(STDOUT_FILENO))
		return -errno;
	has_keys = !tcgetattr(STDIN_FILENO, &before);
	catch_screen_signals();
	take_over();
	return 0;
}

void screen_close(void)
{
	give_back();
	sigprocmask(SIG_SETMASK, &outside, NULL);
}

void screen_size(unsigned *width, unsigned *height)
{
	struct winsize size = {0};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*width = size.ws_col ? size.ws_col : 80;
	*height = size.ws_row ? size.ws_row : 24;
}

/* As if it had not been caught. */
static void let_through(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL}, ours;
	sigset_t one, blocked;

	give_back();
	sigaction(number, &action, &ours);
	sigemptyset(&one);
	sigaddset(&one, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &one, &blocked);
	/* Only one that stops gets here, when it goes on. */
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	sigaction(number, &ours, NULL);
	take_over();
}

static int react_screen(int number)
{
	if (number == SIGCONT)
		take_over();
	else if (number != SIGWINCH)
		let_through(number);
	return SCREEN_REDRAW;
}

static int read_screen_key(void)
{
	unsigned char key;
	ssize_t got = read(STDIN_FILENO, &key, 1);

	if (got == 1)
		return key;
	return got < 0 && (errno == EINTR || errno == EAGAIN) ? SCREEN_REDRAW : SCREEN_END;
}

int screen_wait(int64_t ms)
{
	struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	int ready;

	came = 0;
	ready = ppoll(&keys, 1, &time, &outside);
	if (came)
		return react_screen(came);
	if (ready > 0)
		return read_screen_key();
	return ready ? SCREEN_REDRAW : SCREEN_TIME;
}
