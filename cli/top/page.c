// SPDX-License-Identifier: BSD-2-Clause
// Lays the lines out: a head, the services, the routes, and in a window the keys.
#include "cli/top/page.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "cli/control_json.h"

#define LINE_SIZE 1024

#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"
#define HOME	   "\033[H"
#define REVERSE	   "\033[7m"
#define PLAIN	   "\033[0m"

/* Lines besides services and routes: two of head, two headings, two empty ones, and the keys. */
#define OTHER_LINES 7u

static const char help[] =
	"q quit   order: c connections, u without a socket, w waiting, n name   any other key: look now";

/* What came from elsewhere must not steer the terminal. */
static void make_page_printable(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

__attribute__((format(printf, 3, 4))) static void print_line(
	const struct page *page, const char *style, const char *format, ...)
{
	char text[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	make_page_printable(text);
	if (!page->width)
		fprintf(page->out, "%s\n", text);
	else if (style)
		fprintf(page->out, "%s%-*.*s" PLAIN "\r\n", style, (int)page->width,
			(int)page->width, text);
	else
		fprintf(page->out, "%.*s" CLEAR_LINE "\r\n", (int)page->width, text);
}

static void print_head(
	const struct page *page, const struct status_model *model, const struct rates *rates)
{
	json_int_t peeking = control_json_number(model->status, "peeking");
	char text[STATUS_MODEL_TEXT_SIZE], when[16] = "", more[64] = "", drains[64] = "";
	time_t now = time(NULL);
	size_t drained = 0;

	strftime(when, sizeof(when), "%H:%M:%S", localtime(&now));
	for (size_t s = 0; s < model->service_count; s++)
		drained += model->services[s].draining != NULL;
	if (drained)
		snprintf(drains, sizeof(drains), " (%zu being drained)", drained);
	if (peeking)
		snprintf(more, sizeof(more),
			"; %" JSON_INTEGER_FORMAT " connections without a TLS name yet", peeking);
	if (page->fault)
		print_line(page, NULL, "%s", page->fault);
	else
		print_line(page, NULL, "socketboxd %s, pid %" JSON_INTEGER_FORMAT ", %s",
			control_json_text(model->status, "version"),
			control_json_number(model->status, "pid"),
			status_model_engine(model, text));
	print_line(page, NULL,
		"%s  every %g s  %.1f new/s, %.1f without a socket/s; %zu services%s, %zu routes%s",
		when, page->interval_ms / 1000.0, rates->decided, rates->no_socket,
		model->service_count, drains, model->route_count, more);
}

static void print_services(const struct page *page, const struct rates *rates, size_t most)
{
	print_line(page, REVERSE, "%10s %10s %8s %8s %8s %9s  %-8s %s", "NEW/S", "NO_SOCKET/S",
		"BACKLOG", "IN HAND", "PROGRAMS", "CLAIMANTS", "DELIVERY", "SERVICE");
	for (size_t s = 0; s < rates->service_count && s < most; s++) {
		const struct rates_row *row = &rates->services[s];
		const struct status_model_service *service = row->service;

		print_line(page, NULL,
			"%10.1f %10.1f %8" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT
			" %8" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT "  %-8s %s%s",
			row->decided, row->no_socket, service->backlog, service->in_hand,
			service->programs, service->claimants, service->delivery, service->name,
			service->draining ? " (being drained)" : "");
	}
}

static void print_page_routes(const struct page *page, const struct rates *rates, size_t most)
{
	print_line(page, REVERSE, "%10s %10s %8s  %s", "NEW/S", "NO_SOCKET/S", "NUMBER", "ROUTE");
	for (size_t r = 0; r < rates->route_count && r < most; r++) {
		const struct rates_row *row = &rates->routes[r];

		print_line(page, NULL, "%10.1f %10.1f %8" JSON_INTEGER_FORMAT "  %s", row->decided,
			row->no_socket, control_json_number(row->route->object, "number"),
			row->route->text);
	}
}

/* How many services, if each kind is to have half, and what the other one does not need. */
static size_t page_share(size_t room, size_t services, size_t routes)
{
	size_t half = room / 2;

	if (services <= half)
		return services;
	return routes < room - half ? room - routes : half;
}

void page_print(
	const struct page *page, const struct status_model *model, const struct rates *rates)
{
	size_t room = page->height > OTHER_LINES ? page->height - OTHER_LINES : 0;
	size_t services = page->width ? page_share(room, rates->service_count, rates->route_count)
				      : rates->service_count;
	size_t shown = services < rates->service_count ? services : rates->service_count;

	if (page->width)
		fputs(HOME, page->out);
	print_head(page, model, rates);
	print_line(page, NULL, "%s", "");
	print_services(page, rates, services);
	print_line(page, NULL, "%s", "");
	print_page_routes(page, rates, page->width ? room - shown : rates->route_count);
	if (!page->width)
		return;
	fprintf(page->out, CLEAR_REST "\033[%u;1H%.*s" CLEAR_LINE, page->height, (int)page->width,
		help);
}
