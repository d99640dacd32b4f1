// SPDX-License-Identifier: BSD-2-Clause
// What people ask for: reports, and changes of the whole.
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "daemon/config_reload.h"
#include "daemon/control/loop_report.h"
#include "daemon/control/report.h"
#include "daemon/control/requests_private.h"
#include "daemon/log.h"

int requests_status(struct request *request, struct err *err)
{
	(void)err;
	request->peer->status_request = request->message.header.request;
	request->peer->asks_status = true;
	return 0;
}

int requests_explain(struct request *request, struct err *err)
{
	const struct wire_explain *explain = &request->message.explain;
	struct table_packet packet = {
		.protocol = (uint8_t)explain->protocol,
		.local.port = explain->local_port,
		.remote.port = explain->remote_port,
	};
	json_t *object;

	if (explain->protocol != IPPROTO_TCP && explain->protocol != IPPROTO_UDP)
		return err_set(err, -EPROTONOSUPPORT, "protocol is %u, not TCP (6) or UDP (17)",
			explain->protocol);
	memcpy(packet.local.addr.bytes, explain->local, sizeof(explain->local));
	memcpy(packet.remote.addr.bytes, explain->remote, sizeof(explain->remote));
	if (addr_is_v4(&packet.local.addr) != addr_is_v4(&packet.remote.addr))
		return err_set(
			err, -EINVAL, "the local and remote addresses are of different families");
	object = report_explain(request->state, &packet, err);
	return object ? requests_reply_json(request, object, err) : err->code;
}

int requests_reload(struct request *request, struct err *err)
{
	struct diagnostics diagnostics = {0};
	int result, refused;

	if (!peer_may_manage(&request->peer->credentials))
		return err_set(err, -EACCES, "only root and the daemon's own user may reload it");
	result = refused = config_reload(request->state, &diagnostics);
	for (size_t i = 0; i < diagnostics.count; i++)
		log_warning("%s", diagnostics.lines[i]);
	log_info(result ? "reload refused: the old configuration stays in force" : "reloaded");
	result = requests_reply_json(request, report_reload(result, &diagnostics), err);
	if (result && !refused)
		err_prefix(err, "the new configuration is in force, but its warnings are lost");
	diagnostics_fini(&diagnostics);
	return result;
}

/* Taking the turns leaves none for the next one who asks, so not everybody may. */
int requests_turns(struct request *request, struct err *err)
{
	struct loop_turns turns;

	if (!peer_may_manage(&request->peer->credentials))
		return err_set(err, -EACCES,
			"only root and the daemon's own user may take the turns of its event loop; 'socketbox status' shows them");
	turns = loop_take_turns();
	return requests_reply_json(request, loop_report_turns(&turns), err);
}

/* To begin twice, or to end twice, changes nothing. */
static int drain_request(struct request *request, const struct config_service *service,
	uint32_t action, bool *changed, struct err *err)
{
	bool drained = drains_has(request->state->drains, service->id);
	int result;

	*changed = action != WIRE_DRAIN_ASK && drained != (action == WIRE_DRAIN_BEGIN);
	if (!*changed)
		return 0;
	result = drained ? state_end_drain(request->state, service, err)
			 : state_drain(request->state, service, err);
	if (!result)
		log_info(drained ? "service '%s' is in use again"
				 : "service '%s' is being drained: new connections are refused",
			service->name);
	return result;
}

int requests_drain(struct request *request, struct err *err)
{
	const struct wire_drain *asked = &request->message.drain;
	const struct config_service *service;
	bool changed;
	int result;

	if (!memchr(asked->service, '\0', WIRE_NAME_SIZE))
		return err_set(err, -EINVAL, "the service name has no NUL within %d bytes",
			WIRE_NAME_SIZE);
	if (asked->action > WIRE_DRAIN_END)
		return err_set(err, -EINVAL,
			"action is %u, not to ask (0), to begin (1) or to end (2)", asked->action);
	if (!peer_may_manage(&request->peer->credentials))
		return err_set(
			err, -EACCES, "only root and the daemon's own user may drain services");
	service = config_service_find(request->state->config, asked->service);
	if (!service)
		return err_set(err, -ESRCH,
			"there is no service '%s' in %s; 'socketbox status' lists them",
			asked->service, request->state->config_path);
	result = drain_request(request, service, asked->action, &changed, err);
	if (result)
		return result;
	return requests_reply_json(request, report_drain(request->state, service, changed), err);
}
