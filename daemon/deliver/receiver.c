// SPDX-License-Identifier: BSD-2-Clause
// Sends connections, and follows what becomes of them.
#include "daemon/deliver/receiver.h"

#include <errno.h>
#include <linux/bpf.h> /* the states of TCP, which <netinet/tcp.h> would bring in the way of <linux/tcp.h> */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/socket_file.h"
#include "daemon/log.h"
#include "daemon/sockets.h"

/* More than any receiver's queue holds with a sane net.unix.max_dgram_qlen. */
#define MAX_UNACKNOWLEDGED 256

struct receiver {
	struct receiver_events events;
	struct event *writable; /* edge-triggered: also for each message that is taken */
	struct event *death;	/* tells of it from the event loop, not from within a call */
	struct event *settle;	/* active: at the end of this turn, lets go of what was taken */
	int fd, diag;
	struct fdstore *fdstore; /* NULL: it is not kept there */
	ino_t inode;		 /* of fd, as sock_diag knows it */
	struct stat file;	 /* of the path, when connected */
	int message_size;	 /* what SIOCOUTQ counts for one message */
	struct accepted ring[MAX_UNACKNOWLEDGED];
	size_t first, count; /* kept ones, oldest first */
	size_t gone;	     /* so many of them have left the queue, as SIOCOUTQ said last */
	size_t known;	     /* so many of those are known to be taken */
	bool blocked, dead;  /* blocked: there was no room, and nothing was taken since */
};

/* What the socket is charged for a message, asked of a socket of the same kind that nobody reads.
 */
static int measure_message(int type)
{
	int pair[2], size = 0, result;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair))
		return -errno;
	result = channel_send(pair[0], "A", 1, pair[0], 0);
	if (!result && ioctl(pair[0], SIOCOUTQ, &size))
		result = -errno;
	close(pair[0]);
	close(pair[1]);
	if (result)
		return result;
	return size > 0 ? size : -EOPNOTSUPP;
}

static void push_receiver(struct receiver *receiver, struct accepted *accepted)
{
	size_t last = (receiver->first + receiver->count) % MAX_UNACKNOWLEDGED;

	receiver->ring[last] = *accepted;
	accepted->fd = -1;
	receiver->count++;
}

static struct accepted *pop_receiver(struct receiver *receiver)
{
	struct accepted *first = &receiver->ring[receiver->first];

	receiver->first = (receiver->first + 1) % MAX_UNACKNOWLEDGED;
	receiver->count--;
	return first;
}

/*
 * To the nearest: while a message is freed, the kernel wakes us with one byte of it still charged
 * (sock_wfree), and will not wake us again. Its descriptor has been received by then.
 */
static int unacknowledged_receiver(const struct receiver *receiver)
{
	int size = 0;

	if (ioctl(receiver->fd, SIOCOUTQ, &size))
		return (int)receiver->count;
	return (size + receiver->message_size / 2) / receiver->message_size;
}

static uint32_t peer_in(const void *answer, size_t size)
{
	const struct nlmsghdr *header = answer;
	const struct unix_diag_msg *message = NLMSG_DATA(header);
	const struct rtattr *attribute = (const struct rtattr *)(message + 1);
	int left;

	if (!NLMSG_OK(header, size) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*message));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
		uint32_t peer;

		if (attribute->rta_type != UNIX_DIAG_PEER)
			continue;
		memcpy(&peer, RTA_DATA(attribute), sizeof(peer));
		return peer;
	}
	return 0;
}

/* Whether anybody has the receiving socket open; negative errno where the kernel cannot tell. */
static int receiver_lives(const struct receiver *receiver)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req request;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = AF_UNIX,
			.udiag_states = ~0u,
			.udiag_ino = (uint32_t)receiver->inode,
			.udiag_show = UDIAG_SHOW_PEER,
			.udiag_cookie = {~0u, ~0u}},
	};
	_Alignas(struct nlmsghdr) char answer[1024];
	ssize_t length;

	if (send(receiver->diag, &question, sizeof(question), 0) < 0)
		return -errno;
	length = recv(receiver->diag, answer, sizeof(answer), 0);
	if (length < 0)
		return -errno;
	return peer_in(answer, (size_t)length) != 0;
}

static void die_receiver(struct receiver *receiver)
{
	static const struct timeval now = {0};

	if (receiver->dead)
		return;
	receiver->dead = true;
	event_del(receiver->writable);
	evtimer_add(receiver->death, &now);
}

/* Lets go of the connections that are known to be taken. */
static void release_known(struct receiver *receiver)
{
	for (; receiver->known; receiver->known--) {
		cleanup_close_fd(&pop_receiver(receiver)->fd);
		receiver->gone--;
	}
}

/*
 * What is left in the queue is asked first: if the receiver lives after that, what is gone from the
 * queue was taken. Whatever is sent until the end of this turn tells that it lives, since nothing
 * can be sent to a dead one; on a busy machine that saves the question.
 */
static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct receiver *receiver = context;
	size_t left = (size_t)unacknowledged_receiver(receiver);

	(void)fd;
	(void)what;
	receiver->blocked = false;
	if (left + receiver->gone < receiver->count)
		receiver->gone = receiver->count - left;
	if (receiver->gone)
		event_active(receiver->settle, EV_TIMEOUT, 0);
	receiver->events.progress(receiver, receiver->events.context);
}

static void on_settle(evutil_socket_t fd, short what, void *context)
{
	static const struct timeval soon = {.tv_usec = 200 * 1000};
	struct receiver *receiver = context;
	int lives;

	(void)fd;
	(void)what;
	if (receiver->dead)
		return;
	lives = receiver->known < receiver->gone ? receiver_lives(receiver) : 1;
	if (!lives)
		die_receiver(receiver);
	/* Taken as a death, it would have connections served twice. */
	if (lives < 0)
		evtimer_add(receiver->settle, &soon);
	if (lives <= 0)
		return;
	receiver->known = receiver->gone;
	release_known(receiver);
	receiver->events.progress(receiver, receiver->events.context);
}

static void on_death(evutil_socket_t fd, short what, void *context)
{
	struct receiver *receiver = context;

	(void)fd;
	(void)what;
	receiver->events.dead(receiver, receiver->events.context);
}

static int prepare_receiver(struct receiver *receiver, struct event_base *base, struct err *err)
{
	struct stat file;
	int type = SOCK_DGRAM;
	socklen_t length = sizeof(type);

	receiver->diag = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (receiver->diag < 0 || fstat(receiver->fd, &file) ||
		getsockopt(receiver->fd, SOL_SOCKET, SO_TYPE, &type, &length))
		return err_errno(err, -errno, "watching a receiver (sock_diag)");
	receiver->inode = file.st_ino;
	receiver->message_size = measure_message(type);
	if (receiver->message_size < 0)
		return err_errno(err, receiver->message_size, "watching a receiver (SIOCOUTQ)");
	receiver->writable =
		event_new(base, receiver->fd, EV_WRITE | EV_ET | EV_PERSIST, on_writable, receiver);
	receiver->death = evtimer_new(base, on_death, receiver);
	receiver->settle = evtimer_new(base, on_settle, receiver);
	if (!receiver->writable || !receiver->death || !receiver->settle ||
		event_add(receiver->writable, NULL))
		return err_errno(err, -ENOMEM, "watching a receiver");
	return 0;
}

static struct receiver *watch_receiver(
	struct event_base *base, int *fd, const struct receiver_events *events, struct err *err)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));

	if (!receiver) {
		err_errno(err, -ENOMEM, "a receiver");
		return NULL;
	}
	receiver->events = *events;
	receiver->diag = -1;
	receiver->fd = take_fd(fd);
	if (prepare_receiver(receiver, base, err)) {
		receiver_free(receiver);
		return NULL;
	}
	return receiver;
}

int receiver_adopt(struct event_base *base, int *fd, const struct receiver_events *events,
	struct receiver **out, struct err *err)
{
	struct receiver *receiver = watch_receiver(base, fd, events, err);
	int lives;

	if (!receiver)
		return err->code;
	lives = receiver_lives(receiver);
	if (lives <= 0) {
		receiver_free(receiver);
		return lives ? err_errno(err, lives, "watching a receiver (sock_diag)")
			     : err_set(err, -ECONNREFUSED, "the receiver is gone");
	}
	*out = receiver;
	return 0;
}

int receiver_connect(struct event_base *base, const char *path, mode_t most,
	const struct receiver_events *events, struct receiver **out, struct err *err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cleanup_close int file_fd = -1;
	struct sockaddr_un address;
	struct stat file;
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	result = channel_address(path, "the handoff path", &address, err);
	if (result)
		return result;
	/* What is connected to is what was looked at, whatever takes its place meanwhile. */
	file_fd = socket_file_open(path, &file);
	if (file_fd == -ELOOP)
		return err_set(err, file_fd,
			"%s is a symbolic link, which is not followed; name the socket itself in 'handoff'",
			path);
	if (file_fd == -EPERM)
		return err_set(err, file_fd,
			"%s belongs to another user than its directory, and is not connected to",
			path);
	if (file_fd < 0)
		return err_errno(err, file_fd, "%s", path);
	result = socket_file_narrow(file_fd, most);
	if (result)
		log_warning(
			"%s: others may write to it, and its mode cannot be changed to %04o: %s",
			path, (unsigned)most, strerror(-result));
	/* Its ctime is another after that. */
	if (fstat(file_fd, &file))
		return err_errno(err, -errno, "%s", path);
	result = socket_file_connect(fd, file_fd);
	if (result)
		return err_errno(err, result, "connecting to %s", path);
	result = receiver_adopt(base, &fd, events, out, err);
	if (!result)
		(*out)->file = file;
	return result;
}

uint64_t receiver_cookie(const struct receiver *receiver)
{
	return sockets_cookie(receiver->fd);
}

void receiver_store(struct receiver *receiver, struct fdstore *fdstore, const char *prefix)
{
	const struct stat *file = &receiver->file;
	char name[FDSTORE_NAME_SIZE];

	snprintf(name, sizeof(name), "%s%llx.%llx.%llx.%llx.%llx", prefix,
		(unsigned long long)receiver_cookie(receiver), (unsigned long long)file->st_dev,
		(unsigned long long)file->st_ino, (unsigned long long)file->st_ctim.tv_sec,
		(unsigned long long)file->st_ctim.tv_nsec);
	receiver->fdstore = fdstore;
	fdstore_put(fdstore, receiver->fd, name);
}

int receiver_restore(struct event_base *base, int *fd, const char *rest,
	const struct receiver_events *events, struct receiver **out, struct err *err)
{
	unsigned long long cookie, dev, ino, sec, nsec;
	struct receiver *receiver;

	if (sscanf(rest, "%llx.%llx.%llx.%llx.%llx", &cookie, &dev, &ino, &sec, &nsec) != 5 ||
		sockets_cookie(*fd) != cookie)
		return err_set(err, -EINVAL, "'%s' is no receiver", rest);
	receiver = watch_receiver(base, fd, events, err);
	if (!receiver)
		return err->code;
	receiver->file.st_dev = (dev_t)dev;
	receiver->file.st_ino = (ino_t)ino;
	receiver->file.st_ctim.tv_sec = (time_t)sec;
	receiver->file.st_ctim.tv_nsec = (long)nsec;
	if (!receiver_lives(receiver))
		die_receiver(receiver);
	*out = receiver;
	return 0;
}

void receiver_restore_unacknowledged(struct receiver *receiver, struct accepted *accepted)
{
	if (receiver->count < MAX_UNACKNOWLEDGED)
		push_receiver(receiver, accepted);
	else
		cleanup_close_fd(&accepted->fd);
}

void receiver_save_unacknowledged(
	struct receiver *receiver, struct fdstore *fdstore, uint32_t service)
{
	if (receiver->gone && receiver_lives(receiver) > 0)
		receiver->known = receiver->gone;
	release_known(receiver);
	while (receiver->count) {
		struct fdstore_connection connection = {
			.accepted = *pop_receiver(receiver),
			.service = service,
			.receiver = receiver_cookie(receiver),
		};

		fdstore_put_connection(fdstore, &connection);
	}
}

int receiver_send(struct receiver *receiver, struct accepted *accepted)
{
	int result;

	if (receiver->dead)
		return -ECONNREFUSED;
	if (receiver->blocked || receiver->count == MAX_UNACKNOWLEDGED)
		return -EAGAIN;
	result = channel_send(receiver->fd, "A", 1, accepted->fd, MSG_DONTWAIT);
	if (result == -ECONNREFUSED || result == -EPIPE || result == -ECONNRESET ||
		result == -ENOTCONN) {
		die_receiver(receiver);
		return -ECONNREFUSED;
	}
	receiver->blocked = result == -EAGAIN;
	if (result)
		return result;
	receiver->known = receiver->gone;
	push_receiver(receiver, accepted);
	return 0;
}

size_t receiver_unacknowledged(const struct receiver *receiver)
{
	return receiver->count - receiver->known;
}

/* True if somebody has read from the connection or written to it, or it is over. */
static bool is_used(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);
	int unread = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) || ioctl(fd, SIOCINQ, &unread))
		return true;
	/* A client's FIN counts as a byte of the sequence, not of what is received. */
	return (info.tcpi_state != BPF_TCP_ESTABLISHED && info.tcpi_state != BPF_TCP_CLOSE_WAIT) ||
	       info.tcpi_bytes_sent > 0 || info.tcpi_bytes_received > (uint64_t)unread + 1;
}

bool receiver_requeue(struct receiver *receiver, struct accepted *accepted, size_t *used)
{
	release_known(receiver);
	while (receiver->count) {
		struct accepted *next = pop_receiver(receiver);

		if (!is_used(next->fd)) {
			*accepted = *next;
			return true;
		}
		cleanup_close_fd(&next->fd);
		(*used)++;
	}
	return false;
}

bool receiver_is_at(const struct receiver *receiver, const char *path)
{
	struct stat file;

	return !lstat(path, &file) && file.st_dev == receiver->file.st_dev &&
	       file.st_ino == receiver->file.st_ino &&
	       file.st_ctim.tv_sec == receiver->file.st_ctim.tv_sec &&
	       file.st_ctim.tv_nsec == receiver->file.st_ctim.tv_nsec;
}

void receiver_free(struct receiver *receiver)
{
	if (!receiver)
		return;
	while (receiver->count)
		cleanup_close_fd(&pop_receiver(receiver)->fd);
	if (receiver->writable)
		event_free(receiver->writable);
	if (receiver->death)
		event_free(receiver->death);
	if (receiver->settle)
		event_free(receiver->settle);
	fdstore_drop(receiver->fdstore, receiver->fd);
	cleanup_close_fd(&receiver->fd);
	cleanup_close_fd(&receiver->diag);
	free(receiver);
}
