/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each user costs the daemon over the control socket, so that nobody can make others pay for
 * it: connections that say nothing, the daemon's time, and the memory of the files that answers
 * are in, which stays the daemon's for as long as the user has them open. Root and the daemon's own
 * user are not limited.
 */
#ifndef SOCKETBOX_DAEMON_ACCOUNTS_H
#define SOCKETBOX_DAEMON_ACCOUNTS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct accounts;
struct account;

/* `ready` is called now and then while somebody has to wait. NULL out of memory. */
struct accounts *accounts_new(struct event_base *base, void (*ready)(void *context), void *context);
void accounts_free(struct accounts *accounts); /* when all have left; NULL is allowed */

/* A connection of the user's comes, silent as yet: the account is to be left. NULL out of memory.
 */
struct account *account_enter(struct accounts *accounts, uid_t uid, bool limited);
void account_leave(struct account *account, bool silent);
void account_greet(struct account *account); /* one of its connections is silent no more */

/* The user of whose silent connections the oldest has to go: this one, if it has too many, or the
 * one with the most, if all have too many together; NULL: all may stay. */
const struct account *account_crowding(const struct account *account);

/* True while nothing may be served to the user; `ready` is called when it may be worth asking
 * again. */
bool account_must_wait(struct account *account);

/* So long something has been served. */
void account_charge(struct account *account, uint64_t ns);

/* So long it took to accept a connection, of whomever. Returns for how long others are better left
 * to wait, in ns; 0 mostly. */
uint64_t accounts_charge_accept(struct accounts *accounts, uint64_t ns);

/* An answer is in this file, which stays the caller's. It is emptied some seconds later. */
void account_gave(struct account *account, int fd);

#endif
