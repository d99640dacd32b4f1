// SPDX-License-Identifier: BSD-2-Clause
// What top makes of two looks at the status.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/top/rates.h"

static struct status_model_service services[] = {
	{.name = "web", .backlog = 1},
	{.name = "mail", .in_hand = 5},
	{.name = "idle"},
};

static struct status_model_route earlier[] = {
	{.text = "{port: 25}", .service = "mail", .lookups = 100, .no_socket = 50},
	{.text = "{port: 80}", .service = "web", .lookups = 1000},
};

/* A reload has put a route in front, taken one away, and added one for the same service. */
static struct status_model_route later[] = {
	{.text = "{port: 443}", .service = "web", .lookups = 6},
	{.text = "{port: 80}", .service = "web", .lookups = 1040},
	{.text = "{port: 22}", .lookups = 2},
};

static const struct status_model before = {
	.services = services, .service_count = 3, .routes = earlier, .route_count = 2};
static const struct status_model now = {
	.services = services, .service_count = 3, .routes = later, .route_count = 3};

static const struct rates_row *find(
	const struct rates *rates, const struct status_model_service *service)
{
	for (size_t s = 0; s < rates->service_count; s++) {
		if (rates->services[s].service == service)
			return &rates->services[s];
	}
	return NULL;
}

static void assert_rate(double rate, double expected)
{
	assert_true(rate > expected - 1e-6 && rate < expected + 1e-6);
}

static void test_routes_are_known_by_their_text(void **state)
{
	struct rates rates;

	(void)state;
	assert_int_equal(rates_compute(&before, &now, 2, &rates), 0);
	assert_rate(rates.routes[0].decided, 3);
	assert_rate(rates.routes[1].decided, 20);
	assert_rate(rates.routes[2].decided, 1);
	assert_rate(find(&rates, &services[0])->decided, 23);
	assert_rate(find(&rates, &services[1])->decided, 0);
	assert_rate(rates.decided, 24);
	rates_fini(&rates);
}

static void test_counts_that_began_anew(void **state)
{
	struct status_model_route restarted[] = {
		{.text = "{port: 25}", .service = "mail", .lookups = 10, .no_socket = 4},
		{.text = "{port: 80}", .service = "web", .lookups = 1000},
	};
	struct status_model after = now;
	struct rates rates;

	(void)state;
	after.routes = restarted;
	after.route_count = 2;
	assert_int_equal(rates_compute(&before, &after, 0.5, &rates), 0);
	assert_rate(rates.routes[0].decided, 20);
	assert_rate(rates.routes[0].no_socket, 8);
	assert_rate(rates.routes[1].decided, 0);
	rates_fini(&rates);
}

static void test_orders(void **state)
{
	static const struct {
		enum rates_order order;
		size_t first, last; /* of services */
	} cases[] = {
		{RATES_BY_DECIDED, 0, 2},
		{RATES_BY_WAITING, 1, 2},
		{RATES_BY_NAME, 2, 0},
	};
	struct rates rates;

	(void)state;
	assert_int_equal(rates_compute(&before, &now, 1, &rates), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		rates_sort(&rates, cases[i].order);
		assert_ptr_equal(rates.services[0].service, &services[cases[i].first]);
		assert_ptr_equal(rates.services[2].service, &services[cases[i].last]);
	}
	rates_sort(&rates, RATES_BY_DECIDED);
	assert_ptr_equal(rates.routes[0].route, &later[1]);
	rates_sort(&rates, RATES_BY_NAME);
	assert_ptr_equal(rates.routes[0].route, &later[0]);
	rates_fini(&rates);
}

static void test_nothing(void **state)
{
	const struct status_model none = {0};
	struct rates rates;

	(void)state;
	assert_int_equal(rates_compute(&none, &none, 1, &rates), 0);
	rates_sort(&rates, RATES_BY_NO_SOCKET);
	assert_int_equal(rates.service_count + rates.route_count, 0);
	rates_fini(&rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_are_known_by_their_text),
		cmocka_unit_test(test_counts_that_began_anew),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
