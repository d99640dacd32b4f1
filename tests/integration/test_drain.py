# SPDX-License-Identifier: BSD-2-Clause
"""`socketbox drain`, with every delivery: what waits is served, what is new is refused, and --end takes it back."""
import contextlib
import errno
import json
import os
import pty
import signal
import socket
import subprocess
import time

import pytest

from support import faults, paths
from support.control import DRAIN, REUSEPORT, UDP, Control, Refused, as_user, message, open_fds
from support.faults import Faults
from support.fdstore import StoredDaemon
from support.launch import open_to_all
from support.load import Load, lost
from support.process import run, until
from support.relay import Named, dial, listener
from support.tls import hello_of
from support.traffic import REFUSED, SILENT, Answers, ask, ask_udp, connect
from support.world import V4, V6

pytestmark = pytest.mark.both_engines

RESET = "reset"
# Without BPF, what the daemon accepts it resets, and what a program's own socket gets is dropped.
DELIVERED = {"kernel": REFUSED, "user": RESET}
CLAIMED = {"kernel": REFUSED, "user": SILENT}

PAGE = r'head -c 18 >/dev/null; printf "HTTP/1.0 200 OK\r\n\r\nserved"'  # 18: the whole request
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def config(**services):
    """Each of the services has a port of its own on both addresses: the first one 80, the next 81."""
    return {"services": services, "routes": [
        {"to": [V4, V6], "port": 80 + i, "protocol": ["tcp", "udp"] if not settings else "tcp", "service": name}
        for i, (name, settings) in enumerate(services.items())]}


def attempt(world, address, port=80, **options):
    """What becomes of a new connection."""
    try:
        return ask(world, address, port, timeout=1, **options)
    except ConnectionResetError:
        return RESET


def left(daemon, service="a"):
    """What the status says of a service that is being drained; None if it is not."""
    return next(s for s in daemon.status()["services"] if s["name"] == service).get("draining")


class Draining:
    """The command, while it waits."""

    def __init__(self, world, daemon, service="a", *options):
        self.process = world.start([paths.CLI, "drain", "--control", daemon.control, service, *options], "drain")
        until(lambda: left(daemon, service) or not self.process.running(), what="the drain begins")

    def waits(self):
        return self.process.running()

    def end(self):
        return self.process.wait(), self.process.log()


def check_answer(connection, text):
    connection.settimeout(10)
    connection.send(REQUEST)
    assert text.encode() in connection.recv(4096)


def serve(daemon, service, port, text=None):
    control = Control(daemon, service)
    control.server = Answers(control.claim("::", port), text or service)
    return control


def test_a_claimed_socket(world, daemon, engine):
    d = daemon(config(a={}, b={}))
    a = Control(d, "a")
    a.claim("::", 80)
    serve(d, "b", 81)
    with connect(world, V6) as client, a.socket.accept()[0] as established:
        waiting = [connect(world, address) for address in (V4, V6) * 3]
        drain = Draining(world, d)
        assert left(d)["backlog"] == len(waiting)
        assert [attempt(world, address) for address in (V4, V6)] == [CLAIMED[engine]] * 2
        assert [ask(world, address, 81) for address in (V4, V6)] == ["b"] * 2
        d.reload({**config(a={}, b={}), "engine": engine})
        assert left(d)["backlog"] == len(waiting)
        assert [attempt(world, address) for address in (V4, V6)] == [CLAIMED[engine]] * 2
        client.send(b"still here")
        assert established.recv(100) == b"still here"
        assert drain.waits()
        server = Answers(a.socket, "a")
        for connection in waiting:
            check_answer(connection, "a")
        assert drain.end() == (0, "")
        assert attempt(world, V6) == CLAIMED[engine]
        established.send(b"so am I")
        assert client.recv(100) == b"so am I"
    d.cli("drain", "--end", "a")
    assert left(d) is None
    assert [ask(world, address) for address in (V4, V6)] == ["a"] * 2
    server.stop()


def test_a_server_is_replaced_meanwhile(world, daemon, engine):
    """It has nothing to wait for when it stops, and its successor gets nothing before the end of the drain."""
    d = daemon(config(a={"hold": "500ms"}))
    first = serve(d, "a", 80, "first")
    assert d.cli("drain", "a").stderr == ""
    first.server.stop()
    first.close()
    until(lambda: not d.claims("a"))
    second = serve(d, "a", 80, "second")
    assert [attempt(world, address) for address in (V4, V6)] == [CLAIMED[engine]] * 2
    assert second.server.count == 0
    d.cli("drain", "a", "--end")
    assert [ask(world, address) for address in (V4, V6)] == ["second"] * 2


def test_under_load_nothing_is_cut_short(world, daemon, engine):
    """Clients of the claimed and of the handed service are answered or refused, those of others are answered."""
    path = world.directory / "mail.sock"
    world.start([paths.RECEIVER, path, "mail"], "receiver")
    d = daemon(config(a={}, mail={"handoff": {"path": str(path)}}, b={}))
    serve(d, "a", 80)
    serve(d, "b", 82)
    until(path.exists, what="the receiver binds")
    loads = {port: Load(world, V6, port=port, seconds=120, concurrency=4, expect=text, pause=5)
             for port, text in ((80, "a"), (81, "mail"), (82, "b"))}
    time.sleep(0.5)
    for service in "a", "mail":
        d.cli("drain", service, "--timeout", "20s")
    time.sleep(0.5)
    for service in "a", "mail":
        d.cli("drain", service, "--end")
    time.sleep(0.5)
    for load in loads.values():
        load.stop()
    results = {port: load.result() for port, load in loads.items()}
    for port, kind in (80, CLAIMED[engine]), (81, DELIVERED[engine]):
        bad = {key: value for key, value in results[port].items()
               if key not in ("started", "ok", "example", kind) and value}
        assert (bad, results[port]["ok"] > 10) == ({}, True), results[port]
    assert results[81][DELIVERED[engine]] > 10
    assert lost(results[82]) == {}


def test_a_reuseport_group(world, daemon, engine):
    """Of the members' sockets the daemon has no copies."""
    d = daemon(config(a={}))
    members = [Control(d, "a") for _ in range(3)]
    for member in members:
        member.claim("::", 80, flags=REUSEPORT)
    waiting = [connect(world, (V4, V6)[i % 2]) for i in range(24)]
    drain = Draining(world, d)
    assert left(d)["backlog"] == len(waiting)
    servers = [Answers(member.socket, "a") for member in members]
    for connection in waiting:
        check_answer(connection, "a")
    assert drain.end() == (0, "")
    # Whoever of the group goes or comes.
    servers.pop(0).stop()
    members.pop(0).close()
    late = Control(d, "a")
    servers.append(Answers(late.claim("::", 80, flags=REUSEPORT), "a"))
    members.append(late)
    assert {attempt(world, (V4, V6)[i % 2]) for i in range(8)} == {CLAIMED[engine]}
    d.cli("drain", "--end", "a")
    assert [ask(world, (V4, V6)[i % 2]) for i in range(16)] == ["a"] * 16
    for server in servers:
        server.stop()


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_udp(world, daemon, engine, flags):
    d = daemon(config(a={}, b={}))
    a, b = Control(d, "a"), Control(d, "b")
    a.claim("::", 80, protocol=UDP, flags=flags)
    b.server = Answers(b.claim("::", 81, protocol=UDP), "b")
    waiting = connect(world, V6, kind=socket.SOCK_DGRAM)
    waiting.send(b"x")
    drain = Draining(world, d)
    until(lambda: left(d)["datagrams"] == 1)
    assert [ask_udp(world, address, 80, timeout=1) for address in (V4, V6)] == [CLAIMED[engine]] * 2
    assert ask_udp(world, V6, 81) == "b"
    assert drain.waits()
    a.server = Answers(a.socket, "a")
    waiting.settimeout(10)
    assert b"a" in waiting.recv(100)
    assert drain.end() == (0, "")
    assert ask_udp(world, V6, 80, timeout=1) == CLAIMED[engine]
    if flags:  # the next generation of the server
        late = Control(d, "a")
        late.server = Answers(late.claim("::", 80, protocol=UDP, flags=flags), "a")
        a.server.stop()
        a.close()
        assert {ask_udp(world, V6, 80, timeout=0.3) for _ in range(5)} == {CLAIMED[engine]}
    d.cli("drain", "--end", "a")
    assert [ask_udp(world, address, 80) for address in (V4, V6)] == ["a"] * 2


def test_a_handoff_whose_receiver_pauses(world, daemon, engine):
    path = world.directory / "a.sock"
    receiver = world.start([paths.RECEIVER, path, "a"], "receiver")
    d = daemon(config(a={"handoff": {"path": str(path)}}, b={}))
    serve(d, "b", 81)
    until(path.exists, what="the receiver binds")
    assert "a" in ask(world, V6)
    receiver.pause()
    load = Load(world, V6, count=50, concurrency=50, expect="a")
    until(lambda: d.status()["services"][0]["handoff"]["destinations"][0]["unacknowledged"] and
          sum(d.status()["services"][0]["handoff"]["destinations"][0][key] for key in ("waiting", "unacknowledged")) == 50,
          what="all are in hand")
    drain = Draining(world, d)
    assert left(d)["waiting"] == 50
    assert [attempt(world, address) for address in (V4, V6)] == [DELIVERED[engine]] * 2
    assert ask(world, V6, 81) == "b"
    assert drain.waits()
    receiver.send(signal.SIGCONT)
    assert lost(load.result()) == {}
    assert drain.end() == (0, "")
    assert attempt(world, V6) == DELIVERED[engine]
    d.cli("drain", "--end", "a")
    assert "a" in ask(world, V6)


def test_a_full_queue_and_its_backlog(world, daemon, engine):
    """What the daemon has not accepted yet, since the queue is full, is served, too."""
    path = world.directory / "a.sock"
    receiver = world.start([paths.RECEIVER, path, "a"], "receiver")
    d = daemon(config(a={"handoff": {"path": str(path), "queue": 4}}))
    until(path.exists, what="the receiver binds")
    assert "a" in ask(world, V6)
    receiver.pause()
    load = Load(world, V6, count=80, concurrency=80, expect="a")

    def known():
        status = d.status()
        [destination] = status["services"][0]["handoff"]["destinations"]
        return destination["waiting"] + destination["unacknowledged"] + sum(a["backlog"] for a in status["listeners"])
    until(lambda: known() == 80, what="all are here")
    drain = Draining(world, d)
    assert left(d)["backlog"] > 4
    assert left(d)["backlog"] + left(d)["waiting"] == 80
    receiver.send(signal.SIGCONT)
    assert lost(load.result()) == {}
    assert drain.end() == (0, "")
    assert attempt(world, V6) == DELIVERED[engine]


def test_programs_and_who_waits_for_one(world, daemon, engine):
    script = f"read -r gate <{world.directory}/gate; {PAGE}"
    os.mkfifo(world.directory / "gate")
    d = daemon(config(a={"exec": {"command": ["/bin/sh", "-c", script], "instances": 2}}, b={}))
    serve(d, "b", 81)
    load = Load(world, V6, count=10, concurrency=10, expect="served")
    until(lambda: d.status()["services"][0]["exec"]["running"] == 2)
    until(lambda: sum(a["backlog"] for a in d.status()["listeners"]) + d.status()["services"][0]["exec"]["waiting"] == 8,
          what="the others wait")
    drain = Draining(world, d)
    assert left(d)["running"] == 2
    assert left(d)["backlog"] + left(d)["waiting"] == 8
    if engine == "kernel":  # without BPF, they are refused when those before them have had their turn
        assert attempt(world, V4) == REFUSED
    assert ask(world, V6, 81) == "b"
    assert drain.waits()
    gate = os.open(world.directory / "gate", os.O_RDWR)
    os.write(gate, b"go\n" * 20)
    assert lost(load.result()) == {}
    assert drain.end() == (0, "")
    assert d.status()["services"][0]["exec"]["ended"] == 10
    assert [attempt(world, address) for address in (V4, V6)] == [DELIVERED[engine]] * 2
    d.cli("drain", "--end", "a")
    os.write(gate, b"go\n")
    assert ask(world, V6) == "served"
    os.close(gate)


def test_refusing_needs_no_room(world, daemon, engine):
    d = daemon(config(a={"exec": {"command": ["/bin/cat"], "instances": 1}}))
    with connect(world, V6) as served:
        until(lambda: d.status()["services"][0]["exec"]["running"] == 1)
        drain = Draining(world, d)
        assert [attempt(world, address) for address in (V4, V6)] == [DELIVERED[engine]] * 2
        served.send(b"still here")
        assert served.recv(100) == b"still here"
        assert drain.waits()
    assert drain.end() == (0, "")


LISTENER = """
import os, socket
s = socket.socket(fileno=0)
open('started', 'a').write('x')
while not os.path.exists('go'):
    os.sched_yield()
s.settimeout(1)
try:
    while True:
        if s.type == socket.SOCK_STREAM:
            c, _ = s.accept()
            c.recv(2000)
            c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nserved')
            c.close()
        else:
            s.sendto(b'HTTP/1.0 200 OK\\r\\n\\r\\nserved', s.recvfrom(2000)[1])
except TimeoutError:
    pass
"""


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_program_that_has_the_socket(world, daemon, engine, kind):
    started = world.directory / "started"
    settings = {"command": ["/usr/bin/python3", "-c", LISTENER], "wait": True, "chdir": str(world.directory)}
    d = daemon({"services": {"a": {"exec": settings}},
                "routes": [{"to": V6, "port": 80, "protocol": ["tcp", "udp"], "service": "a"}]})
    waiting = [connect(world, V6, kind=kind) for _ in range(3)]
    for connection in waiting:
        connection.send(REQUEST)
    until(started.exists, what="the program runs")
    drain = Draining(world, d)
    assert left(d)["running"] == 1
    if kind == socket.SOCK_STREAM:
        assert left(d)["backlog"] == 3
    else:
        assert left(d)["datagrams"] == 1
    assert attempt(world, V6, kind=kind) == CLAIMED[engine]
    assert drain.waits()
    (world.directory / "go").touch()
    for connection in waiting:
        connection.settimeout(10)
        assert b"served" in connection.recv(4096)
    assert drain.end() == (0, "")
    assert attempt(world, V6, kind=kind) == CLAIMED[engine]
    assert started.read_text() == "x"
    d.cli("drain", "--end", "a")
    assert ask(world, V6, timeout=10, kind=kind) == "served"


def test_relayed_connections_are_waited_for(world, daemon, engine):
    backend = listener(world, 7001)
    d = daemon(config(a={"relay": {"to": "127.0.0.1:7001"}}, b={}))
    serve(d, "b", 81)
    with dial(world, 80, V6, namespace=world.client) as client:
        accepted, _ = backend.accept()
        drain = Draining(world, d)
        assert left(d)["relayed"] == 1
        assert [attempt(world, address) for address in (V4, V6)] == [DELIVERED[engine]] * 2
        assert ask(world, V6, 81) == "b"
        client.sendall(b"still here")
        assert accepted.recv(100) == b"still here"
        time.sleep(0.5)
        assert drain.waits()
    accepted.close()
    assert drain.end() == (0, "")
    Named(world, "new", 7002)
    d.reload(config(a={"relay": {"to": "127.0.0.1:7002"}}, b={}))
    assert attempt(world, V6) == DELIVERED[engine], "a reload does not end it"
    d.cli("drain", "--end", "a")
    with dial(world, 80, V6, namespace=world.client) as client:
        client.sendall(b"x\n")
        assert json.load(client.makefile("rb"))["name"] == "new"


def greeting(world, name, hello=True):
    """What a program says to a connection that asks for a TLS name; RESET if it is refused."""
    with connect(world, V6, 443, timeout=10) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(hello_of(name)[3] if hello else REQUEST)
        return connection.recv(100).decode()
    return RESET


def named():
    """Programs that say their name, by name on one address: a, b, and what is left goes to rest."""
    services = {name: {"exec": {"command": ["/bin/sh", "-c", f"head -c 5 >/dev/null; printf {name}"]}}
                for name in ("a", "b", "rest")}
    return {"services": services, "routes": [
        {"to": [V4, V6], "port": 443, "sni": "a.example", "service": "a"},
        {"to": [V4, V6], "port": 443, "sni": "b.example", "service": "b"},
        {"to": [V4, V6], "port": 443, "service": "rest"}]}


def test_only_the_names_of_the_service_are_refused(world, daemon):
    d = daemon(named())
    assert [greeting(world, f"{name}.example") for name in ("a", "b", "c")] == ["a", "b", "rest"]
    early = connect(world, V6, 443, timeout=10)
    until(lambda: d.status()["peeking"] == 1)
    drain = Draining(world, d)
    assert left(d)["unnamed"] == 1
    assert [greeting(world, f"{name}.example") for name in ("a", "b", "c")] == [RESET, "b", "rest"]
    # This one comes too late, and is not waited for.
    with connect(world, V6, 443, timeout=10) as late:
        until(lambda: d.status()["peeking"] == 2)
        assert left(d)["unnamed"] == 1
        late.sendall(hello_of("a.example")[3])
        with pytest.raises(ConnectionResetError):
            late.recv(100)
    assert drain.waits()
    early.sendall(hello_of("a.example")[3])
    assert early.recv(100) == b"a"
    assert drain.end() == (0, "")
    explained = d.explain("tcp", V6, "443")
    assert "--end a" in explained["needs"] and "name" in explained["needs"]
    [no_socket] = [route["no_socket"] for route in d.status()["routes"] if "a.example" in route["text"]]
    assert no_socket == 2
    d.cli("drain", "--end", "a")
    assert greeting(world, "a.example") == "a"


def test_the_rest_of_an_address_with_names(world, daemon):
    d = daemon(named())
    early = connect(world, V6, 443, timeout=10)
    until(lambda: d.status()["peeking"] == 1)
    drain = Draining(world, d, "rest")
    assert [greeting(world, f"{name}.example") for name in ("a", "b", "c")] == ["a", "b", RESET]
    assert greeting(world, "", hello=False) == RESET
    early.sendall(REQUEST)
    assert early.recv(100) == b"rest"
    assert drain.end() == (0, "")


def test_two_drains_at_different_times(world, daemon):
    """Each connection is old to the one and new to the other."""
    d = daemon(named())
    first = Draining(world, d, "a", "--timeout", "0")
    between = [connect(world, V6, 443, timeout=10) for _ in range(2)]
    until(lambda: d.status()["peeking"] == 2)
    second = Draining(world, d, "b")
    assert first.end()[0] == 0
    assert left(d, "a")["unnamed"] == 0
    assert left(d, "b")["unnamed"] == 2
    between[0].sendall(hello_of("b.example")[3])
    assert between[0].recv(100) == b"b"
    between[1].sendall(hello_of("a.example")[3])
    with pytest.raises(ConnectionResetError):
        between[1].recv(100)
    assert second.end() == (0, "")


def test_what_is_said(world, daemon, engine):
    d = daemon(config(a={}, b={}))
    serve(d, "a", 80)
    status = d.cli("status").stdout
    assert "drained" not in status
    assert d.cli("drain", "a").stderr == ""
    assert "service 'a' is being drained already" in d.cli("drain", "a").stderr
    status = d.cli("status").stdout
    [line] = [line for line in status.splitlines() if "being drained" in line]
    assert "nothing is left" in line and "socketbox drain --end a" in line
    answer = d.explain("tcp", V6, "80")
    how = {"kernel": "refused", "user": "dropped in silence"}[engine]
    assert (answer["action"], answer["outcome"]) == ("drained", f"{how}: the service is being drained")
    shown = d.cli("explain", "tcp", V6, "80").stdout
    assert f"{how}: the service is being drained: service a" in shown and "'socketbox drain --end a'" in shown
    assert d.explain("tcp", V6, "81")["action"] == "service"
    assert "service 'a' is being drained: new connections are refused" in d.process.log()
    if engine == "kernel":
        assert attempt(world, V6) == REFUSED
        assert d.status()["routes"][0]["no_socket"] == 1
    assert d.cli("drain", "--end", "a").stderr == ""
    assert "service 'a' is in use again" in d.process.log()
    assert "service 'a' is not being drained" in d.cli("drain", "--end", "a").stderr
    assert d.explain("tcp", V6, "80")["outcome"] == "served"
    for words in ("drain", "c"), ("drain", "--end", "c"), ("drain", "c" * 64):
        result = d.cli(*words, check=False)
        assert result.returncode == 1 and "there is no service 'c" in result.stderr
    for words in ("drain",), ("drain", "a", "b"), ("drain", "--end", "a", "--timeout", "1s"), ("drain", "--force", "a"), \
            ("drain", "a", "--timeout", "soon"):
        result = d.cli(*words, check=False)
        assert result.returncode == 2 and "usage: socketbox drain" in result.stderr
    assert left(d) is None


def test_what_is_left_after_the_timeout(world, daemon):
    d = daemon(config(a={}))
    a = Control(d, "a")
    a.claim("::", 80)
    with connect(world, V6), connect(world, V6):
        started = time.monotonic()
        result = d.cli("drain", "a", "--timeout", "700ms", check=False)
        assert 0.6 < time.monotonic() - started < 5
        assert result.returncode == 3
        assert "after 0.7 s service 'a' still has 2 connections to be accepted" in result.stderr
        assert d.cli("drain", "a", "--timeout", "0", check=False).returncode == 3
        assert left(d)["backlog"] == 2


def test_a_drain_that_is_ended_meanwhile(world, daemon):
    d = daemon(config(a={}))
    a = Control(d, "a")
    a.claim("::", 80)
    with connect(world, V6):
        drain = Draining(world, d)
        d.cli("drain", "--end", "a")
        status, said = drain.end()
        assert status == 1 and "service 'a' is in use again" in said


def test_only_root_and_the_daemons_user_may(world, daemon):
    d = daemon(config(a={"allow": {"user": 12345}}))
    open_to_all(d)
    with as_user(12345):
        control = Control(d)
    with pytest.raises(Refused, match="only root and the daemon's own user may drain") as info:
        control.ask(message(DRAIN, b"a".ljust(64, b"\0") + (1).to_bytes(8, "little")))
    assert info.value.errno == errno.EACCES
    assert left(d) is None


def test_malformed_requests_change_nothing(world, daemon):
    d = daemon(config(a={}))
    control = Control(d)
    for body in b"a" * 64 + bytes(8), b"a".ljust(64, b"\0") + (3).to_bytes(8, "little"), b"a".ljust(64, b"\0"):
        with pytest.raises(Refused):
            control.ask(message(DRAIN, body))
    assert left(d) is None
    assert control.json(DRAIN, b"a".ljust(64, b"\0") + bytes(8)) == {"service": "a", "changed": False}


@pytest.mark.user_engine("the kernel engine needs no filters")
@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_what_cannot_be_made_to_refuse_is_not_drained(world, daemon, flags):
    failing = Faults(world.directory / "faults")
    d = daemon(config(a={}, b={"exec": {"command": ["/bin/sh", "-c", PAGE], "wait": True}}), prefix=failing.prefix)
    control = Control(d, "a")
    Answers(control.claim("::", 80, flags=flags), "a")
    with failing.armed(faults.SOCKETS, errno.EPERM):
        results = [d.cli("drain", service, check=False) for service in ("a", "b")]
    for result, service, port in zip(results, "ab", (80, 81)):
        assert result.returncode == 1
        assert f":{port} would go on taking connections" in result.stderr and "Operation not permitted" in result.stderr
        assert left(d, service) is None
    assert [ask(world, address) for address in (V4, V6)] == ["a"] * 2
    assert d.cli("drain", "a").returncode == 0
    assert attempt(world, V6) == SILENT


def test_a_terminal_is_told_what_is_waited_for(world, daemon):
    d = daemon(config(a={}))
    a = Control(d, "a")
    a.claim("::", 80)
    ours, theirs = pty.openpty()
    with connect(world, V6) as waiting:
        command = subprocess.Popen([paths.CLI, "drain", "--control", d.control, "a"], stderr=theirs)
        os.close(theirs)
        said = b""
        while b"waiting for 1 connection to be accepted" not in said:
            said += os.read(ours, 1000)
        Answers(a.socket, "a")
        check_answer(waiting, "a")
        assert command.wait(30) == 0
    assert os.read(ours, 1000).endswith(b"\r\x1b[K")
    os.close(ours)


def upgrade(daemon):
    starts = daemon.process.log().count(": engine ")
    daemon.process.send(signal.SIGUSR2)
    until(lambda: daemon.process.log().count(": engine ") > starts and daemon.answers(), timeout=60, what="the upgrade")


@pytest.mark.parametrize("change", ["reload", "upgrade", "restart", "stop"])
def test_it_outlives_the_daemon(world, engine, change):
    """And so does what waits; nobody else notices."""
    path = world.directory / "mail.sock"
    receiver = world.start([paths.RECEIVER, path, "mail"], "receiver")
    d = StoredDaemon(world, config(a={"hold": "30s"}, mail={"handoff": {"path": str(path), "hold": "30s"}}, b={"hold": "30s"}),
                     options=["--engine", engine])
    a, b = Control(d, "a"), serve(d, "b", 82)
    a.claim("::", 80)
    until(path.exists, what="the receiver binds")
    receiver.pause()
    waiting = [connect(world, address, port) for address in (V4, V6) for port in (80, 81)]
    mail = Draining(world, d, "mail")
    drain = Draining(world, d, "a")

    def is_as_before():
        until(lambda: left(d, "a")["backlog"] == 2 and left(d, "mail")["waiting"] == 2, what="it is waited for")
        assert attempt(world, V6, 80) == CLAIMED[engine]
        assert attempt(world, V6, 81) == DELIVERED[engine]
        assert left(d, "b") is None
    is_as_before()
    for _ in range(2):
        {"reload": d.reload, "upgrade": lambda: upgrade(d), "restart": d.restart,
         "stop": lambda: (d.process.stop(), d.start())}[change]()
    if change == "restart":  # what was in hand is lost by kill -9
        assert left(d, "mail") is not None
        until(lambda: left(d, "a")["backlog"] == 2, what="it is waited for")
        waiting = waiting[::2]
    else:
        is_as_before()
    again = Control(d, "a")
    again.server = Answers(again.claim("::", 80), "a")
    receiver.send(signal.SIGCONT)
    for connection in waiting:
        check_answer(connection, "")
    assert mail.end() == (0, "")
    assert drain.end() == (0, "")
    for service in "a", "mail":
        d.cli("drain", "--end", service)
    until(lambda: not d.store.names("drain."), what="the store has no drains")
    assert ask(world, V6, 80) == "a"
    assert "mail" in ask(world, V6, 81)
    assert ask(world, V6, 82) == "b"
    b.server.stop()


def test_it_ends_with_a_daemon_that_is_killed(world, daemon):
    """The claimed socket lives on with its program, and hears again."""
    d = daemon(config(a={}))
    a = serve(d, "a", 80)
    d.cli("drain", "a")
    d.restart()
    again = Control(d, "a")
    again.register("::", 80, fds=[a.socket.fileno()])
    assert left(d) is None
    assert [ask(world, address) for address in (V4, V6)] == ["a"] * 2
    a.server.stop()


def test_a_reload_without_the_service_ends_it(world, daemon):
    d = daemon(config(a={}, b={}))
    d.cli("drain", "a")
    d.reload(config(b={}))
    d.reload(config(a={}, b={}))
    assert left(d) is None
    serve(d, "a", 80)
    assert ask(world, V6) == "a"


def test_drains_leave_no_descriptors_behind(world, daemon):
    d = daemon(config(a={}, b={"exec": {"command": ["/usr/bin/true"], "wait": True}}))
    members = [Control(d, "a") for _ in range(3)]
    for member in members:
        member.claim("::", 80, flags=REUSEPORT)
    before = open_fds(d.process.pid)
    for _ in range(20):
        for service in "a", "b":
            d.cli("drain", service)
        for service in "a", "b":
            d.cli("drain", "--end", service)
    assert open_fds(d.process.pid) == before


def test_the_command_takes_its_socket_from_the_environment(world, daemon):
    d = daemon(config(a={}))
    run([paths.CLI, "drain", "a"], env=dict(os.environ, SOCKETBOX_CONTROL=str(d.control)), check=True)
    assert left(d) is not None
