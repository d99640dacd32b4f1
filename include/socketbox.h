/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libsocketbox: sockets from socketboxd, for programs that know of it.
 *
 * Two ways, see socketbox(3):
 *   receive  take connections that the daemon (or any sender of the "A" protocol) has accepted
 *   claim    ask the daemon for the listening or bound sockets of a service, and use them natively
 * and, for programs that stand where the daemon does, a third: send.
 *
 * What holds for all functions: they never print, exit, change signal handlers or start threads.
 * Those that return int return a descriptor, a count or 0, or a negative errno value (errno itself
 * is not set). Every descriptor that they return is close-on-exec and the caller's to close.
 * Different objects may be used by different threads at once; one object by one thread at a time.
 */
#ifndef SOCKETBOX_H
#define SOCKETBOX_H

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The release that the library is of, such as "0.1.0". Static. Safe anywhere. */
const char *socketbox_version(void);

/*
 * ---- Receiving: the "A" protocol
 * A message is one byte and exactly one connected stream socket.
 */

/*
 * Opens a receiver: a datagram socket bound at `path`, which the sender must be able to write to:
 * the file gets `mode` (such as 0660), whatever the umask is. A socket file at path that nobody
 * has open is replaced in one step. The file stays when the descriptor is closed.
 *
 * Returns the descriptor, which is readable (poll(2)) when a connection waits. It is blocking.
 *   -EADDRINUSE    another process receives there, or something that is no socket has that name
 *   -ENAMETOOLONG  more than 95 characters
 *   others         of socket(2), bind(2), chmod(2), rename(2): the directory is missing, not
 * writable Thread-safe. May be used by several processes after fork(2): each connection goes to
 * one.
 */
int socketbox_receiver_open(const char *path, unsigned mode);

/*
 * Takes one connection from `channel`: a receiver, or a stream or seqpacket Unix socket whose other
 * end sends. Waits unless the channel has O_NONBLOCK, or `flags` has SOCK_NONBLOCK, which is for
 * this one call: unlike accept4's it says nothing about the connection, which is blocking.
 *
 * Returns the connection: an AF_INET, AF_INET6 or AF_UNIX stream socket.
 *   -EAGAIN        none waits
 *   -EINTR         a signal came first
 *   -ENODATA       the sender has closed the channel (stream and seqpacket only)
 *   -EBADMSG       the message held no descriptor
 *   -EPROTOTYPE    what it held is no connected stream socket; it has been closed
 *   others         of recvmsg(2)
 * The last two have consumed the message: call again for the next. Descriptors beyond the first are
 * closed. Thread-safe, also on one channel; safe in signal handlers.
 */
int socketbox_receive(int channel, int flags);

/*
 * ---- Sending
 */

/*
 * Hands `connection`, a connected stream socket, to the receiver at `path`. Waits at most
 * timeout_ms milliseconds (-1: as long as it takes; 0: not at all) for room in the receiver's
 * queue. The connection stays the caller's: close it after success, for the receiver has its own
 * descriptor then. Nothing is dropped: after a failure the receiver has not got it.
 *
 *   -ETIMEDOUT     no room until then
 *   -ENOENT        there is no such file
 *   -ECONNREFUSED  nobody receives there any more
 *   -EPROTOTYPE    connection is no connected stream socket, or the receiver's is no datagram one
 *   -EINTR         a signal came while it waited
 *   others         of socket(2), connect(2), sendmsg(2)
 * Thread-safe. Opens a socket for each call; keep one with socketbox_sender_open for many.
 */
int socketbox_send(const char *path, int connection, int timeout_ms);

/* Opens a socket that is connected to the receiver at `path`, for socketbox_send_to. Errors as
 * socketbox_send's. When the receiver is replaced, sending on it gives -ECONNREFUSED: open anew. */
int socketbox_sender_open(const char *path);

/* As socketbox_send, over a sender or any connected Unix socket. Thread-safe, also on one channel.
 */
int socketbox_send_to(int channel, int connection, int timeout_ms);

/*
 * ---- Claiming
 */

/* A service's connection to socketboxd, and what has been claimed over it. */
struct socketbox;

/*
 * Makes an object for the service; asks nobody yet. control is the path of the daemon's control
 * socket; NULL means $SOCKETBOX_CONTROL or /run/socketbox/control.sock. Both texts are copied.
 * NULL: no memory. Free with socketbox_free.
 */
struct socketbox *socketbox_new(const char *service, const char *control);

/* Ends the connection: the daemon keeps the claimed sockets for the service's hold time, and then
 * closes its copies. Sockets that were handed out stay open. NULL is allowed. */
void socketbox_free(struct socketbox *box);

/*
 * Connects to the daemon, or connects again, and registers what has been claimed before: call it
 * once before the first claim, and again whenever socketbox_fd becomes readable, which means that
 * the daemon has gone; its sockets go on serving meanwhile. Waits at most 10 seconds for an answer.
 *
 * Returns the number of earlier claims that a new daemon did not take back (0: all is well).
 *   -EPIPE         no daemon is there, or it went away; try again later
 *   -ESRCH         it knows no such service;  -EACCES  not for this user
 *   -ENAMETOOLONG  the service's name or the control path is too long
 *   others         the daemon's refusal
 * socketbox_error has the words.
 */
int socketbox_connect(struct socketbox *box);

/* The connection to the daemon, for poll(2): readable when it has gone. -1 without one. It stays
 * the object's; do not read from it. Changes with socketbox_connect. */
int socketbox_fd(const struct socketbox *box);

/* Flags of socketbox_claim. */
#define SOCKETBOX_V6ONLY    1u /* an AF_INET6 socket that takes no IPv4 */
#define SOCKETBOX_REUSEPORT 2u /* one more socket in a group that shares the connections */

/*
 * Claims a socket: `address` (AF_INET or AF_INET6, a wildcard included) and its port are what a
 * program would bind(2); type is SOCK_STREAM (TCP; the socket listens already, call listen(2) to
 * set its backlog) or SOCK_DGRAM (UDP). The claim lasts as long as the object and its connection.
 *
 * Returns the socket: non-blocking or not as the daemon made it, so set what you need. It may be
 * shared with an earlier claimant of the same address.
 *   -ENOENT        no route of the service covers the address
 *   -ENOTCONN      socketbox_connect has not been called
 *   -EPIPE         the daemon is away: socketbox_connect, and again
 *   -EADDRINUSE    somebody else has it
 *   -EAFNOSUPPORT, -EINVAL  the address;  -EPROTONOSUPPORT  the type
 *   others         the daemon's refusal
 * socketbox_error has the words.
 */
int socketbox_claim(struct socketbox *box, int type, const struct sockaddr *address,
	socklen_t length, unsigned flags);

/* What the last function on this object that failed had to say, one sentence without a newline; ""
 * before the first. Belongs to the object, until its next call. */
const char *socketbox_error(const struct socketbox *box);

#ifdef __cplusplus
}
#endif

#endif
