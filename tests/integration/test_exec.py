# SPDX-License-Identifier: BSD-2-Clause
"""The exec delivery in the daemon: programs for connections, and for sockets, of routes."""
import os
import re

import pytest

from support.control import UDP, Control
from support.load import Load, lost
from support.process import until
from support.traffic import Answers, ask, ask_udp, connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

pytestmark = pytest.mark.both_engines

ENVIRONMENT = "dd bs=4096 count=1 >/dev/null 2>&1; printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s %s %s' \"$PROTO\" \"$TCPREMOTEIP\" \"$TCPLOCALIP:$TCPLOCALPORT\""
DATAGRAMS = """
import os, socket
s = socket.socket(fileno=0)
s.settimeout(1)
try:
    while True:
        data, peer = s.recvfrom(2000)
        s.sendto(b'HTTP/1.0 200 OK\\r\\n\\r\\n%d' % os.getpid(), peer)
except TimeoutError:
    pass
"""
LISTENER = """
import os, socket
s = socket.socket(fileno=0)
s.settimeout(1)
try:
    while True:
        c, _ = s.accept()
        c.settimeout(5)
        c.recv(2000)
        c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n%s' % os.environ['LISTEN_FDS'].encode())
        c.close()
except TimeoutError:
    pass
"""


def config(settings, **route):
    return {"services": {"a": {"exec": settings}}, "routes": [{"to": [V4, V6], "port": 80, "service": "a", **route}]}


def counts(daemon):
    return daemon.status()["services"][0]["exec"]


def test_a_program_for_each_connection(world, daemon):
    started = daemon(config({"command": ["/bin/sh", "-c", ENVIRONMENT], "user": "nobody"}))
    assert ask(world, V4, timeout=10) == f"TCP {CLIENT_V4} {V4}:80"
    assert ask(world, V6, timeout=10) == f"TCP {CLIENT_V6} {V6}:80"
    until(lambda: counts(started)["ended"] == 2, what="both have ended")
    assert counts(started)["running"] == 0


def test_many_connections_wait_for_their_turn(world, daemon):
    started = daemon(config({"command": ["/bin/sh", "-c", ENVIRONMENT], "instances": 4, "log": "failures"}))
    load = Load(world, V6, count=300, concurrency=100, expect="TCP")
    assert lost(load.result()) == {}
    until(lambda: counts(started)["ended"] == 300, what="all have ended")
    assert not os.popen(f"ps --ppid {started.process.pid} -o stat= | grep Z").read()


def test_a_reload_changes_what_is_started_next(world, daemon):
    started = daemon(config({"command": ["/bin/sh", "-c", "sleep 1; " + ENVIRONMENT]}))
    with connect(world, V6, 80, timeout=10) as connection:
        connection.send(b"x\n")
        until(lambda: counts(started)["running"] == 1, what="the first runs")
        started.reload(config({"command": ["/usr/bin/printf", r"HTTP/1.0 200 OK\r\n\r\nnew"]}))
        assert ask(world, V6, timeout=10) == "new"
        assert b"TCP" in connection.recv(4096)
    started.reload({"services": {"a": {}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    assert started.status()["services"][0]["delivery"] == "claim"


def test_a_program_that_cannot_be_started(world, daemon):
    started = daemon(config({"command": ["/no/such/program"]}))
    with connect(world, V6, 80, timeout=10) as connection:
        assert connection.recv(1) == b""
    assert counts(started)["failed"] == 1
    assert "/no/such/program" in started.process.log()


def test_wait_gives_the_listening_socket(world, daemon):
    started = daemon(config({"command": ["/usr/bin/python3", "-c", LISTENER], "wait": True}))
    for _ in range(2):
        for address in V4, V6:
            assert ask(world, address, timeout=10) == "1"
        until(lambda: not counts(started)["running"], what="the programs end when idle")
    assert counts(started)["started"] == 4


@pytest.mark.parametrize("address,route", [
    (V6, {"to": [V4, V6]}), (V4, {"to": [V4, V6]}), (V6, {"to": "2001:db8::/64"}),
], ids=["ipv6", "ipv4", "prefix"])
def test_wait_gives_the_udp_socket(world, daemon, address, route):
    started = daemon(config({"command": ["/usr/bin/python3", "-c", DATAGRAMS], "wait": True}, port=53, protocol="udp", **route))
    first = ask_udp(world, address, timeout=10)
    assert ask_udp(world, address, timeout=10) == first
    until(lambda: not counts(started)["running"], what="the program ends when idle")
    assert ask_udp(world, address, timeout=10) != first


def test_a_listening_socket_changes_hands(world, daemon):
    def of(service):
        services = {name: {"exec": {"command": ["/usr/bin/env", f"LISTEN_FDS={name}", "/usr/bin/python3", "-c", LISTENER], "wait": True}}
                    for name in "ab"}
        return {"services": services, "routes": [{"to": [V4, V6], "port": 80, "service": service}]}

    started = daemon(of("a"))
    for service in "aba":
        assert ask(world, V6, timeout=10) == service
        until(lambda: not any(shown["exec"]["running"] for shown in started.status()["services"]), what="the program ends when idle")
        started.reload(of("b" if service == "a" else "a"))


HEARD = """
import os, socket, sys
s = socket.socket(fileno=0)
while True:
    data, peer = s.recvfrom(2000)
    print('heard', file=sys.stderr, flush=True)
    s.sendto(b'HTTP/1.0 200 OK\\r\\n\\r\\n%s' % sys.argv[1].encode(), peer)
"""


@pytest.mark.parametrize("change", [lambda daemon: None, lambda daemon: daemon.upgrade()], ids=["reload", "upgrade"])
def test_a_udp_port_changes_hands(world, daemon, change):
    """What the old service's program holds is not the new one's: it gets nothing of theirs."""
    def of(service):
        services = {name: {"exec": {"command": ["/usr/bin/python3", "-c", HEARD, name], "wait": True, "stderr": "log"}} for name in "ab"}
        return {"services": services, "routes": [{"to": [V4, V6], "port": 53, "protocol": "udp", "service": service}]}

    started = daemon(of("a"))
    assert ask_udp(world, V6, timeout=10) == "a"
    started.reload(of("b"))
    change(started)
    for _ in range(3):
        assert ask_udp(world, V6, timeout=10) == "b"
    started.reload(of("a"))
    change(started)
    for _ in range(3):
        assert ask_udp(world, V6, timeout=10) == "a"
    started.reload({"services": {"b": {}}, "routes": [{"to": [V4, V6], "port": 53, "protocol": "udp", "service": "b"}]})
    server = Answers(Control(started, "b").claim(V6, 53, protocol=UDP), "claimed")
    change(started)
    assert ask_udp(world, V6, timeout=10) == "claimed"
    server.stop()
    log = started.process.log()
    assert len(re.findall(r" a\[\d+\]: stderr: heard", log)) == 4 and len(re.findall(r" b\[\d+\]: stderr: heard", log)) == 3, log


def test_names_lead_to_programs(world, daemon):
    """A route by TLS name, and the rest of the port."""
    started = daemon({"services": {"a": {"exec": {"command": ["/usr/bin/printf", "named"]}},
                                   "b": {"exec": {"command": ["/usr/bin/printf", "other"]}}},
                      "routes": [{"to": V6, "port": 443, "sni": "a.example", "service": "a"},
                                 {"to": V6, "port": 443, "service": "b"}]})
    with connect(world, V6, 443, timeout=10) as connection:
        connection.send(b"no TLS")
        assert connection.recv(100) == b"other"
    assert started.status()["services"][1]["exec"]["started"] == 1


def test_programs_live_on_when_the_daemon_stops(world, daemon):
    started = daemon(config({"command": ["/bin/sh", "-c", "sleep 2; " + ENVIRONMENT]}))
    with connect(world, V6, 80, timeout=15) as connection:
        connection.send(b"x\n")
        until(lambda: counts(started)["running"] == 1, what="it runs")
        started.process.stop()
        assert b"TCP" in connection.recv(4096)
