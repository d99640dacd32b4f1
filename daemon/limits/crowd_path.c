// SPDX-License-Identifier: BSD-2-Clause
// The groups that an address or a user belongs to.
#include <string.h>

#include "daemon/limits/crowd.h"

enum crowd_kind { CROWD_KIND_ADDRESS, CROWD_KIND_ACCOUNT, CROWD_KIND_UID };

/* The usual sizes of what one customer has: of a site, a home, a network. */
static const uint8_t ipv6_lengths[] = {48, 56, 64};
static const uint8_t ipv4_lengths[] = {96 + 24, 96 + 32};

static void set_prefix(struct crowd_key *key, const struct addr *source, uint8_t length)
{
	*key = (struct crowd_key){.kind = CROWD_KIND_ADDRESS, .length = length};
	memcpy(key->bytes, source->bytes, length / 8);
}

/* A translator in front of this machine (RFC 7915) shows all IPv4 clients of the world in one /96.
 */
static struct addr undo_nat64(const struct addr *source)
{
	static const uint8_t well_known[12] = {0x00, 0x64, 0xff, 0x9b};
	struct addr result = *source;

	if (!memcmp(source->bytes, well_known, sizeof(well_known))) {
		memset(result.bytes, 0, 10);
		memset(result.bytes + 10, 0xff, 2);
	}
	return result;
}

void crowd_path_of_source(const struct addr *source, struct crowd_path *out)
{
	struct addr client = undo_nat64(source);
	const uint8_t *lengths = ipv6_lengths;

	out->depth = sizeof(ipv6_lengths);
	if (addr_is_v4(&client)) {
		lengths = ipv4_lengths;
		out->depth = sizeof(ipv4_lengths);
	}
	for (unsigned level = 0; level < out->depth; level++)
		set_prefix(&out->keys[level], &client, lengths[level]);
}

void crowd_path_of_user(uid_t account, uid_t uid, struct crowd_path *out)
{
	*out = (struct crowd_path){.depth = 2};
	out->keys[0].kind = CROWD_KIND_ACCOUNT;
	memcpy(out->keys[0].bytes, &account, sizeof(account));
	out->keys[1].kind = CROWD_KIND_UID;
	memcpy(out->keys[1].bytes, &uid, sizeof(uid));
	memcpy(out->keys[1].bytes + sizeof(uid), &account, sizeof(account));
}
