// SPDX-License-Identifier: BSD-2-Clause
// Keeps a sum of time per user and one of all users, and the files of the last seconds.
#include "daemon/control/accounts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NS_PER_MS 1000000ull

/* A user gets a tenth of the daemon's time, and all users a quarter; who has not used theirs for a
 * while can have so much of it at once that nobody who is not at it all the time ever waits. Who
 * has used hardly any does not wait for others. Connections are accepted in a tenth. */
#define SHARE_OF_ONE	10u
#define SHARE_OF_ALL	4u
#define SHARE_OF_ACCEPT 10u
#define AT_ONCE_NS	(1000 * NS_PER_MS)
#define HARDLY_ANY_NS	(50 * NS_PER_MS)
#define ACCEPT_ONCE_NS	(200 * NS_PER_MS)

/* How long a file can be read, and of how many it may be so at a time. */
#define FILE_NS	     (2000 * NS_PER_MS)
#define FILES_OF_ONE 32u
#define FILES_OF_ALL 512u

#define SILENT_OF_ONE 256u
#define SILENT_OF_ALL 1024u

/* How often somebody who waits is looked at, and what is left of others. */
static const struct timeval soon = {.tv_usec = 10 * 1000}, later = {.tv_usec = 500 * 1000};

struct account {
	struct accounts *accounts;
	struct account *next;
	uid_t uid;
	bool limited;
	unsigned connections, silent, files;
	uint64_t paid_ns; /* until then its share of the time is used up; CLOCK_MONOTONIC */
};

struct file {
	struct account *account;
	int fd;
	uint64_t until_ns;
};

struct accounts {
	struct account *first;
	struct file files[FILES_OF_ALL]; /* a ring, the oldest first */
	unsigned oldest, file_count, silent;
	uint64_t paid_ns, accept_ns; /* the same of all users together, and of accepting */
	struct event *timer;
	bool waiting; /* somebody has been told to */
	void (*ready)(void *context);
	void *context;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void free_unused(struct account *account)
{
	struct account **link = &account->accounts->first;

	if (account->connections || account->files || account->paid_ns > now_ns())
		return;
	while (*link != account)
		link = &(*link)->next;
	*link = account->next;
	free(account);
}

/* Its memory is the daemon's again, whoever has it open. */
static void empty_oldest(struct accounts *accounts)
{
	struct file *file = &accounts->files[accounts->oldest];

	accounts->oldest = (accounts->oldest + 1) % FILES_OF_ALL;
	accounts->file_count--;
	file->account->files--;
	if (ftruncate(file->fd, 0))
		(void)0; /* nothing can be done; it is a file in memory, and was made for this */
	cleanup_close_fd(&file->fd);
	free_unused(file->account);
}

/* True if there is an account or a file that will be to be looked at. */
static bool has_leftovers(const struct accounts *accounts)
{
	const struct account *account = accounts->first;

	while (account && account->connections)
		account = account->next;
	return accounts->file_count || account;
}

static void arm_account(struct accounts *accounts)
{
	if (accounts->waiting)
		evtimer_add(accounts->timer, &soon);
	else if (has_leftovers(accounts) && !evtimer_pending(accounts->timer, NULL))
		evtimer_add(accounts->timer, &later);
}

static void on_account_timer(evutil_socket_t fd, short what, void *context)
{
	struct accounts *accounts = context;
	uint64_t now = now_ns();
	struct account *next;

	(void)fd;
	(void)what;
	while (accounts->file_count && accounts->files[accounts->oldest].until_ns <= now)
		empty_oldest(accounts);
	for (struct account *account = accounts->first; account; account = next) {
		next = account->next;
		free_unused(account);
	}
	if (accounts->waiting) {
		accounts->waiting = false;
		accounts->ready(accounts->context);
	}
	arm_account(accounts);
}

struct accounts *accounts_new(struct event_base *base, void (*ready)(void *context), void *context)
{
	struct accounts *accounts = calloc(1, sizeof(*accounts));

	if (!accounts)
		return NULL;
	accounts->ready = ready;
	accounts->context = context;
	accounts->timer = evtimer_new(base, on_account_timer, accounts);
	if (!accounts->timer) {
		free(accounts);
		return NULL;
	}
	return accounts;
}

void accounts_free(struct accounts *accounts)
{
	if (!accounts)
		return;
	while (accounts->file_count)
		empty_oldest(accounts);
	while (accounts->first) {
		struct account *account = accounts->first;

		accounts->first = account->next;
		free(account);
	}
	event_free(accounts->timer);
	free(accounts);
}

struct account *account_enter(struct accounts *accounts, uid_t uid, bool limited)
{
	struct account *account = accounts->first;

	while (account && account->uid != uid)
		account = account->next;
	if (!account) {
		account = calloc(1, sizeof(*account));
		if (!account)
			return NULL;
		*account = (struct account){
			.accounts = accounts,
			.next = accounts->first,
			.uid = uid,
			.limited = limited,
		};
		accounts->first = account;
	}
	account->connections++;
	account->silent++;
	accounts->silent++;
	return account;
}

void account_greet(struct account *account)
{
	account->silent--;
	account->accounts->silent--;
}

void account_leave(struct account *account, bool silent)
{
	struct accounts *accounts = account->accounts;

	if (silent)
		account_greet(account);
	account->connections--;
	free_unused(account);
	arm_account(accounts);
}

const struct account *account_crowding(const struct account *account)
{
	const struct account *most = account;

	if (account->silent > SILENT_OF_ONE)
		return account;
	if (account->accounts->silent <= SILENT_OF_ALL)
		return NULL;
	for (const struct account *other = account->accounts->first; other; other = other->next) {
		if (other->silent > most->silent)
			most = other;
	}
	return most;
}

bool account_must_wait(struct account *account)
{
	struct accounts *accounts = account->accounts;
	uint64_t now = now_ns();
	bool all_wait = accounts->paid_ns > now + AT_ONCE_NS;

	if (!account->limited ||
		(account->paid_ns <= now + (all_wait ? HARDLY_ANY_NS : AT_ONCE_NS) &&
			account->files < FILES_OF_ONE && accounts->file_count < FILES_OF_ALL))
		return false;
	accounts->waiting = true;
	arm_account(accounts);
	return true;
}

static void charge_account(uint64_t *paid_ns, uint64_t now, uint64_t ns)
{
	*paid_ns = (*paid_ns > now ? *paid_ns : now) + ns;
}

void account_charge(struct account *account, uint64_t ns)
{
	uint64_t now = now_ns();

	if (!account->limited)
		return;
	charge_account(&account->paid_ns, now, ns * SHARE_OF_ONE);
	charge_account(&account->accounts->paid_ns, now, ns * SHARE_OF_ALL);
}

uint64_t accounts_charge_accept(struct accounts *accounts, uint64_t ns)
{
	uint64_t now = now_ns();

	charge_account(&accounts->accept_ns, now, ns * SHARE_OF_ACCEPT);
	return accounts->accept_ns > now + ACCEPT_ONCE_NS
		       ? accounts->accept_ns - now - ACCEPT_ONCE_NS
		       : 0;
}

void account_gave(struct account *account, int fd)
{
	struct accounts *accounts = account->accounts;
	unsigned end = (accounts->oldest + accounts->file_count) % FILES_OF_ALL;
	int copy = account->limited && accounts->file_count < FILES_OF_ALL
			   ? fcntl(fd, F_DUPFD_CLOEXEC, 0)
			   : -1;

	if (copy < 0)
		return;
	accounts->files[end] = (struct file){account, copy, now_ns() + FILE_NS};
	accounts->file_count++;
	account->files++;
	arm_account(accounts);
}
