// SPDX-License-Identifier: BSD-2-Clause
// socketbox explain: asks the engine what it would do with a connection or packet.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control_json.h"
#include "cli/subcommands.h"
#include "common/addr.h"

#define ASSUMED_REMOTE_PORT 49152 /* the first ephemeral one, RFC 6335 */

static int read_explain_protocol(const char *text, uint32_t *out, struct err *err)
{
	if (!strcmp(text, "tcp"))
		*out = IPPROTO_TCP;
	else if (!strcmp(text, "udp"))
		*out = IPPROTO_UDP;
	else
		return err_set(err, -EINVAL, "'%s' is not a protocol; write tcp or udp", text);
	return 0;
}

static int read_explain_port(const char *text, uint16_t *out, struct err *err)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || !port || port > 65535)
		return err_set(
			err, -EINVAL, "'%s' is not a port; write a number from 1 to 65535", text);
	*out = (uint16_t)port;
	return 0;
}

static int read_explain_arguments(
	int count, char **words, struct wire_explain *request, struct err *err)
{
	struct addr local, remote;
	int result;

	if (count < 3 || count > 4)
		return err_set(err, -EINVAL, "a protocol, a local address and a port are needed");
	result = read_explain_protocol(words[0], &request->protocol, err);
	if (!result)
		result = addr_parse(words[1], &local, err);
	if (!result)
		result = read_explain_port(words[2], &request->local_port, err);
	if (!result)
		result = addr_parse(count == 4		 ? words[3]
				    : addr_is_v4(&local) ? "192.0.2.1"
							 : "2001:db8::1",
			&remote, err);
	if (result)
		return result;
	request->remote_port = ASSUMED_REMOTE_PORT;
	memcpy(request->local, local.bytes, sizeof(request->local));
	memcpy(request->remote, remote.bytes, sizeof(request->remote));
	return 0;
}

static void print_socket(const json_t *socket)
{
	const json_t *claim = json_object_get(socket, "claim"), *claimant;
	size_t i;

	printf(", %s socket found by %s", control_json_text(socket, "kind"),
		control_json_text(socket, "found_by"));
	if (!claim)
		return;
	printf(", %s", control_json_text(claim, "state"));
	json_array_foreach(json_object_get(claim, "claimants"), i, claimant)
		printf("%s pid %" JSON_INTEGER_FORMAT, i ? "," : " by",
			json_integer_value(json_object_get(claimant, "pid")));
}

static void print_answer(const json_t *answer)
{
	const json_t *route = json_object_get(answer, "route");
	const json_t *socket = json_object_get(answer, "socket");

	printf("%s %s from %s\n", control_json_text(answer, "protocol"),
		control_json_text(answer, "local"), control_json_text(answer, "remote"));
	if (route)
		printf("route    #%" JSON_INTEGER_FORMAT " %s:%" JSON_INTEGER_FORMAT "  %s\n",
			json_integer_value(json_object_get(route, "number")),
			control_json_text(route, "file"), control_json_number(route, "line"),
			control_json_text(route, "text"));
	else
		printf("route    %s\n", socket ? "none is asked" : "none matches");
	printf("outcome  %s", control_json_text(answer, "outcome"));
	if (json_object_get(route, "service"))
		printf(": service %s", control_json_text(route, "service"));
	if (socket)
		print_socket(socket);
	printf("\n");
	if (json_object_get(answer, "needs"))
		printf("needs    %s\n", control_json_text(answer, "needs"));
}

int explain_main(int argc, char **argv, struct err *err)
{
	struct wire_explain request = {0};
	bool as_json = false;
	const char *path;
	json_t *answer;
	int count = control_json_options(argc, argv, &path, &as_json, err);

	if (count < 0 || read_explain_arguments(count, argv, &request, err))
		return EXIT_USAGE;
	request.header = control_client_header(WIRE_EXPLAIN, sizeof(request));
	if (control_json_ask(path, &request, &answer, err))
		return EXIT_FAILED;
	if (as_json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		print_answer(answer);
	}
	json_decref(answer);
	return EXIT_DONE;
}
