# SPDX-License-Identifier: BSD-2-Clause
"""The kernel engine: which packets reach whom, seen from another machine."""
import subprocess

import pytest

from support import paths, require
from support.control import REUSEPORT, UDP, V6ONLY, Control
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask, ask_udp, host_server
from support.world import V4, V6

OTHER_V4 = "198.51.100.7"  # local to the host, like the whole prefix
OTHER_V6 = "2001:db8:1::7"
ANY = ["0.0.0.0", "::"]


def serve(daemon, service, address, port=80, text=None, **fields):
    """Claims and answers, as long as the test runs: the server's thread keeps the claim's connection too."""
    control = Control(daemon, service)
    control.server = Answers(control.claim(address, port, **fields), text or service)
    control.server.control = control
    return control


def config(*routes, **services):
    names = {route["service"] for route in routes if "service" in route}
    return {"services": {name: services.get(name, {}) for name in names}, "routes": list(routes)}


def test_kernel_matcher_and_scan_agree_on_random_tables():
    require.root()
    result = subprocess.run([paths.PROGRAMS / "engine_property"], capture_output=True, text=True,
                            timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


@pytest.mark.parametrize("routes", [
    [{"to": V4, "port": 81, "service": "a"}],
    [{"to": [V4, V6], "port": 80, "pass": True}, {"to": [V4, V6], "port": "1-65535", "refuse": True}],
], ids=["no route", "pass before refuse"])
def test_the_hosts_own_servers_stay_untouched(world, daemon, routes):
    for address in V4, V6:
        host_server(world, address, 80, "host")
    daemon(config(*routes))
    assert [ask(world, address) for address in (V4, V6)] == ["host", "host"]


@pytest.mark.parametrize("refuse,outcome", [(True, REFUSED), ("silent", SILENT)])
def test_refuse_routes_stand_before_the_hosts_own_servers(world, daemon, refuse, outcome):
    for address in V4, V6:
        host_server(world, address, 80, "host")
    d = daemon(config({"to": [V4, V6], "protocol": ["tcp", "udp"], "port": 80, "refuse": refuse}))
    for address in V4, V6:
        assert ask(world, address, timeout=0.3) == outcome
        assert ask_udp(world, address, 80, timeout=0.3) == outcome
    d.cli("reload")
    assert d.status()["routes"][0]["lookups"] >= 4
    d.process.stop()
    subprocess.run([paths.DAEMON, "--detach", "--run-dir", d.run_dir], check=True)
    assert ask(world, V4) == "host"


def test_a_service_that_nobody_claims_is_refused_and_counted(world, daemon):
    d = daemon(config({"to": [V4, V6], "port": 80, "service": "a"},
                      {"to": [V4, V6], "protocol": "udp", "port": 53, "service": "a"}))
    host_server(world, V4, 80, "host")
    assert [ask(world, V4), ask(world, V6), ask_udp(world, V4)] == [REFUSED] * 3
    assert [(r["lookups"], r["no_socket"]) for r in d.status()["routes"]] == [(2, 2), (1, 1)]


def test_routes_by_address_prefix_port_range_and_first_match(world, daemon):
    d = daemon(config({"to": V4, "port": 80, "service": "one"},
                      {"to": "198.51.100.0/28", "port": "8000-8005", "service": "few"},
                      {"to": "198.51.100.0/24", "port": "8000-8999", "service": "many"},
                      {"to": "2001:db8:1::/64", "service": "all"}))
    serve(d, "one", V4)
    for port in 8000, 8005:
        serve(d, "few", "0.0.0.0", port)
    for port in 8005, 8006, 8999:
        serve(d, "many", "0.0.0.0", port)
    serve(d, "all", "::", 12345)
    assert ask(world, V4) == "one"
    assert ask(world, "198.51.100.15", 8000) == "few"
    assert ask(world, "198.51.100.15", 8005) == "few"
    assert ask(world, "198.51.100.15", 8006) == "many"
    assert ask(world, "198.51.100.16", 8005) == "many"
    assert ask(world, "198.51.100.16", 8999) == "many"
    assert ask(world, "198.51.100.16", 9000) == REFUSED
    assert ask(world, "2001:db8:1::ffff:ffff:ffff:ffff", 12345) == "all"
    assert ask(world, V6, 12345) == REFUSED


def test_target_port_lets_a_program_keep_its_own(world, daemon):
    d = daemon(config({"to": [V4, V6], "port": [80, 8080], "target-port": 3000, "service": "a"}))
    control = serve(d, "a", "::", 3000)
    assert [ask(world, address, port) for address in (V4, V6) for port in (80, 8080)] == ["a"] * 4
    assert ask(world, V4, 3000) == REFUSED
    with pytest.raises(OSError, match="no route of service 'a' covers"):
        control.claim("::", 80)


def test_two_services_on_one_address_and_port_differ_by_source(world, daemon):
    world.run(["ip", "addr", "add", "192.0.2.101/24", "dev", "veth0"])
    world.run(["ip", "-6", "addr", "add", "2001:db8::101/64", "dev", "veth0", "nodad"])
    d = daemon(config({"to": [V4, V6], "port": 80, "from": ["192.0.2.101", "2001:db8::101"], "service": "near"},
                      {"to": [V4, V6], "port": 80, "service": "far"}))
    for service in "near", "far":  # both ask for the very same addresses
        serve(d, service, V4)
        serve(d, service, V6)
    assert [ask(world, V4), ask(world, V6)] == ["far", "far"]
    assert [ask(world, V4, source="192.0.2.101"), ask(world, V6, source="2001:db8::101")] == ["near", "near"]


def test_a_specific_claim_comes_before_a_wildcard(world, daemon):
    d = daemon(config({"to": [V4, V6, OTHER_V4], "port": 80, "service": "a"}, a={"hold": 0}))
    serve(d, "a", "::", text="wildcard")
    specific = serve(d, "a", V4, text="specific")
    assert [ask(world, a) for a in (V4, V6, OTHER_V4)] == ["specific", "wildcard", "wildcard"]
    specific.server.stop()
    specific.close()
    until(lambda: len(d.claims("a")) == 1)
    assert ask(world, V4) == "wildcard"


@pytest.mark.parametrize("order", [("0.0.0.0", "::"), ("::", "0.0.0.0")], ids=["v4 first", "dual first"])
def test_an_ipv4_socket_comes_before_a_dual_stack_one(world, daemon, order):
    d = daemon(config({"to": [V4, V6], "port": 80, "service": "a"}, a={"hold": 0}))
    made = {address: serve(d, "a", address, text=address) for address in order}
    assert [ask(world, V4), ask(world, V6)] == ["0.0.0.0", "::"]
    made["0.0.0.0"].server.stop()
    made["0.0.0.0"].close()
    until(lambda: len(d.claims("a")) == 1)
    assert [ask(world, V4), ask(world, V6)] == ["::", "::"]


def test_an_ipv6_only_claim_takes_no_ipv4(world, daemon):
    d = daemon(config({"to": [V4, V6], "port": 80, "service": "a"}))
    serve(d, "a", "::", flags=V6ONLY)
    assert [ask(world, V4), ask(world, V6)] == [REFUSED, "a"]
    serve(d, "a", "0.0.0.0", text="four")
    assert [ask(world, V4), ask(world, V6)] == ["four", "a"]


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_udp_on_a_specific_address(world, daemon, flags):
    d = daemon(config({"to": [V4, V6], "protocol": "udp", "port": 53, "service": "a"}))
    for address in V4, V6:
        serve(d, "a", address, 53, protocol=UDP, flags=flags)
    # The client's socket is connected: it takes answers from the address it asked only.
    assert [ask_udp(world, V4), ask_udp(world, V6)] == ["a", "a"]


def test_udp_on_the_wildcard_hears_its_routes_and_nothing_else(world, daemon):
    routes = [{"to": [V4, V6], "protocol": "udp", "port": 53, "service": "a"},
              {"to": "198.51.100.9", "protocol": "udp", "port": 53, "service": "b"}]
    d = daemon(config(*routes))
    control = serve(d, "a", "::", 53, protocol=UDP)
    assert [ask_udp(world, V4), ask_udp(world, V6)] == ["a", "a"]
    # The socket is really bound to the wildcard, so without its guard these would reach it.
    assert [ask_udp(world, address, timeout=0.3) for address in (OTHER_V4, OTHER_V6)] == [SILENT, SILENT]
    assert ask_udp(world, "198.51.100.9", timeout=0.3) == REFUSED
    d.reload(config({"to": V6, "protocol": "udp", "port": 53, "service": "a"}, routes[1]))
    assert [ask_udp(world, V4, timeout=0.3), ask_udp(world, V6)] == [SILENT, "a"]
    control.close()


def test_a_route_that_goes_takes_its_traffic_from_the_socket_at_once(world, daemon):
    both = config({"to": [V4, V6], "port": 80, "service": "a"})
    d = daemon(both)
    for address in V4, V6:
        assert serve(d, "a", address).bound_port == 80
    assert [ask(world, V4), ask(world, V6)] == ["a", "a"]
    d.reload(config({"to": V6, "port": 80, "service": "a"}))
    # Nothing of V4 may reach the socket, though it is bound to that very address.
    assert ask(world, V4, timeout=0.3) in (REFUSED, SILENT)
    assert ask(world, V6) == "a"
    d.reload(both)
    assert [ask(world, V4), ask(world, V6)] == ["a", "a"]


def test_explain_says_what_the_engine_does(world, daemon):
    d = daemon(config({"to": V4, "port": 80, "from": "192.0.2.101", "service": "near"},
                      {"to": V4, "port": 80, "service": "far"},
                      {"to": V4, "port": 81, "refuse": True},
                      {"to": V4, "port": 82, "refuse": "silent"},
                      {"to": V4, "port": 83, "pass": True}))
    serve(d, "far", "0.0.0.0")
    near = d.explain("tcp", V4, "80", "192.0.2.101")
    assert (near["action"], near["route"]["number"], "socket" in near) == ("service", 0, False)
    assert near["outcome"] == "refused: the service has no socket"
    far = d.explain("tcp", V4, "80")
    assert (far["route"]["service"], far["outcome"]) == ("far", "served")
    assert (far["socket"]["kind"], far["socket"]["found_by"]) == ("single", "wildcard")
    assert far["socket"]["claim"]["address"] == "0.0.0.0:80"
    assert [d.explain("tcp", V4, port)["action"] for port in ("81", "82", "83")] == ["reset", "silent", "pass"]
    assert "route" not in d.explain("tcp", V4, "84")
    assert d.explain("udp", V4, "80")["action"] == "pass"
    assert [route["lookups"] for route in d.status()["routes"]] == [0] * 5
    text = d.cli("explain", "tcp", V4, "80").stdout
    assert "far" in text and "daemon.yaml" in text
