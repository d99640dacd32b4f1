# SPDX-License-Identifier: BSD-2-Clause
"""Grants: sockets that routes do not say, and nothing beyond them."""
import contextlib
import errno
import socket
import time

import pytest

from support import paths
from support.control import UDP, Control, Refused, as_user, open_fds
from support.launch import open_to_all, run_once
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask, ask_udp, connect, family_of, host_server, in_namespace
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

OTHER_V4 = "198.51.100.7"
CONFIG = {
    "services": {
        "ftp": {"grants": {"passive": "50000-50009", "connect": [20]}},
        "mail": {"grants": {"connect": True}},
        "tftp": {"grants": {"passive": "50000-50009", "protocol": "udp"}},
        "web": {},
    },
    "routes": [
        {"to": [V4, V6], "port": 21, "service": "ftp"},
        {"to": [V4, V6], "port": 25, "service": "mail"},
        {"to": [V4, V6], "port": 69, "protocol": "udp", "service": "tftp"},
        {"to": [V4, V6], "port": 80, "service": "web"},
        {"to": [V4, V6], "port": "1-65535", "protocol": ["tcp", "udp"], "refuse": True},
    ],
}
BOTH = pytest.mark.parametrize("address", [V4, V6])


def listens(sock):
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def grants(daemon, name):
    return next(s["grants"] for s in daemon.status()["services"] if s["name"] == name)


@contextlib.contextmanager
def answers(sock, text):
    server = Answers(sock, text)
    try:
        yield
    finally:
        server.stop()


def listening(world, address, port=0):
    """A listener of the client's."""
    made = in_namespace(world.client, lambda: socket.socket(family_of(address)))
    made.bind((address, port))
    made.listen(64)
    made.settimeout(5)
    return made


@BOTH
def test_passive_socket_is_reached_only_while_it_listens(world, daemon, address):
    d = daemon(CONFIG)
    data = Control(d, "ftp").grant(address)
    port = data.getsockname()[1]
    assert data.getsockname()[0] == address and 50000 <= port <= 50009
    assert not listens(data)
    assert ask(world, address, port) == REFUSED
    data.listen(5)
    with answers(data, "data"):
        assert ask(world, address, port) == "data"
        assert ask(world, address, 50000 + (port + 1 - 50000) % 10) == REFUSED
        assert d.explain("tcp", address, str(port))["outcome"] == "served, by a grant"
    data.close()
    assert ask(world, address, port) == REFUSED
    assert d.explain("tcp", address, str(port))["outcome"] == "refused with a reset"


def test_accepted_connections_outlive_the_passive_socket(world, daemon):
    d = daemon(CONFIG)
    control = Control(d, "ftp")
    connections = []
    for _ in range(5):  # the port is free again although connections from it are open
        data = control.grant(V4, 50003)
        data.listen(1)
        client = connect(world, V4, 50003)
        server = data.accept()[0]
        data.close()
        server.send(b"file")
        assert client.recv(10) == b"file"
        assert server.getsockname() == (V4, 50003)
        connections += [client, server]
    for connection in connections:
        connection.close()


def test_dual_stack_passive_socket(world, daemon):
    d = daemon(CONFIG)
    data = Control(d, "ftp").grant(f"::ffff:{V4}", family=6)
    data.listen(5)
    with answers(data, "data"):
        assert ask(world, V4, data.getsockname()[1]) == "data"


def test_ports_of_a_range_are_given_once_and_come_back(world, daemon):
    d = daemon(CONFIG)
    control = Control(d, "ftp")
    taken = [control.grant(V4) for _ in range(10)]
    assert {made.getsockname()[1] for made in taken} == set(range(50000, 50010))
    with pytest.raises(Refused) as refused:
        control.grant(V4)
    assert refused.value.errno == errno.EADDRINUSE
    assert "all 10 passive ports of service 'ftp' are in use on 192.0.2.1; widen 'grants: " \
           "{passive: 50000-50009, connect: 20}' in " in str(refused.value)
    with pytest.raises(Refused) as refused:
        control.grant(V4, 50004)
    assert refused.value.errno == errno.EADDRINUSE
    other = control.grant(V6, 50004)  # another address has ports of its own
    freed = taken.pop()
    port = freed.getsockname()[1]
    freed.close()
    assert control.grant(V4).getsockname()[1] == port
    other.close()


def test_ports_of_the_hosts_own_listeners_are_passed_over(world, daemon):
    d = daemon(CONFIG)
    host = host_server(world, "0.0.0.0", 50002, "host")
    control = Control(d, "ftp")
    taken = {control.grant(V4).getsockname()[1] for _ in range(20)}
    assert taken <= set(range(50000, 50010)) - {50002}
    with pytest.raises(Refused) as refused:
        control.grant(V4, 50002)
    assert refused.value.errno == errno.EADDRINUSE
    assert ask(world, V4, 50002) == REFUSED
    host.stop()


@BOTH
@pytest.mark.parametrize("port", [20, 0])
def test_many_connections_out_from_one_port(world, daemon, address, port):
    """With a passive range, port 0 is one of it; listening is the program's to choose, and so is connecting."""
    d = daemon(CONFIG)
    client = CLIENT_V4 if address == V4 else CLIENT_V6
    control = Control(d, "ftp")
    listeners = [listening(world, client) for _ in range(5)]
    made = []
    for listener in listeners:
        out = control.grant(address, port)
        assert not listens(out)
        out.connect(listener.getsockname()[:2])
        peer = listener.accept()
        assert peer[1][0] == address
        assert peer[1][1] == 20 if port else 50000 <= peer[1][1] <= 50009
        out.send(b"data")
        assert peer[0].recv(10) == b"data"
        peer[0].send(b"back")
        assert out.recv(10) == b"back"
        made += [out, peer[0], listener]
    assert grants(d, "ftp")["passive" if port == 0 else "connect"] == 5
    for sock in made:
        sock.close()


def test_connecting_socket_cannot_be_connected_to(world, daemon):
    """Not even where the routes pass it."""
    config = {"services": {"ftp": {"grants": {"connect": [20]}}}, "routes": [{"to": V4, "port": 21, "service": "ftp"}]}
    d = daemon(config)
    out = Control(d, "ftp").grant(V4, 20)
    out.listen(5)
    assert ask(world, V4, 20, timeout=1) == SILENT
    with pytest.raises(OSError):
        out.setsockopt(socket.SOL_SOCKET, 27, 0)  # SO_DETACH_FILTER


def test_source_address_of_outgoing_mail(world, daemon):
    d = daemon(CONFIG)
    listener = listening(world, CLIENT_V4)
    out = Control(d, "mail").grant(V4)
    assert out.getsockname()[0] == V4 and out.getsockname()[1] >= 1024
    out.connect(listener.getsockname())
    assert listener.accept()[1][0] == V4
    assert grants(d, "mail") == {"text": "{connect: true}", "passive": 0, "connect": 1, "refused": 0}


@BOTH
def test_udp_grant(world, daemon, address):
    d = daemon(CONFIG)
    data = Control(d, "tftp").grant(address, protocol=UDP)
    port = data.getsockname()[1]
    assert 50000 <= port <= 50009
    with answers(data, "block"):
        assert ask_udp(world, address, port) == "block"
    data.close()
    assert ask_udp(world, address, port) == REFUSED


ROUTE = "to serve it, add the route {to: "


@pytest.mark.parametrize("service,address,port,protocol,text", [
    ("ftp", V4, 50010, 6, "no route of service 'ftp' covers tcp 192.0.2.1:50010; " + ROUTE +
     "\"192.0.2.1\", port: 50010, service: ftp}, or, if it is for a single connection, widen 'grants: "
     "{passive: 50000-50009, connect: 20}' of the service in FILE:1"),
    ("ftp", V4, 22, 6, "no route of service 'ftp' covers tcp 192.0.2.1:22"),
    ("ftp", OTHER_V4, 50000, 6, "no route of service 'ftp' covers tcp 198.51.100.7:50000; " + ROUTE +
     "\"198.51.100.7\", port: 50000, service: ftp}"),
    ("ftp", OTHER_V4, 0, 6, "no grant of service 'ftp' covers tcp 198.51.100.7 with any port; to connect out from "
     "there, or to be reached there, add 'grants: {connect: true}' or 'grants: {passive: 50000-50100}' to the service "
     "in FILE:1, and a route to it, such as {to: \"198.51.100.7\", port: PORT, service: ftp}"),
    ("ftp", V4, 0, UDP, "no grant of service 'ftp' covers udp 192.0.2.1 with any port; to connect out from there, or "
     "to be reached there, add 'grants: {connect: true, protocol: udp}' or "),
    ("ftp", V4, 50000, UDP, "no route of service 'ftp' covers udp 192.0.2.1:50000"),
    ("ftp", "127.0.0.1", 0, 6, "no grant of service 'ftp' covers tcp 127.0.0.1 with any port"),
    ("ftp", "0.0.0.0", 0, 6, "no grant of service 'ftp' covers tcp 0.0.0.0 with any port"),
    ("mail", V4, 2525, 6, "no route of service 'mail' covers tcp 192.0.2.1:2525"),
    ("tftp", V4, 50000, 6, "no route of service 'tftp' covers tcp 192.0.2.1:50000"),
    ("web", V4, 50000, 6, "no route of service 'web' covers tcp 192.0.2.1:50000; " + ROUTE +
     "\"192.0.2.1\", port: 50000, service: web}, or, if it is for a single connection, add 'grants: "
     "{passive: 50000-50100, connect: [20]}' to the service in FILE:1"),
    ("web", V4, 0, 6, "no grant of service 'web' covers tcp 192.0.2.1 with any port"),
])
def test_nothing_beyond_the_grant(world, daemon, service, address, port, protocol, text):
    d = daemon(CONFIG)
    control = Control(d, service)
    for _ in range(3):
        with pytest.raises(Refused) as refused:
            control.grant(address, port, protocol=protocol)
        assert refused.value.errno == errno.ENOENT
    said = str(refused.value).split("] ", 1)[1]
    assert said.startswith(text.replace("FILE", str(d.config)))
    assert d.process.log().count(said) == 1
    assert grants(d, service)["refused"] == 3


def test_requests_without_the_flag_are_claims(world, daemon):
    d = daemon(CONFIG)
    control = Control(d, "ftp")
    with pytest.raises(Refused) as refused:
        control.claim(V4, 50000)
    assert refused.value.errno == errno.ENOENT
    with pytest.raises(Refused) as refused:
        control.claim(V4, 0)
    assert refused.value.errno == errno.EINVAL
    with pytest.raises(Refused) as refused:
        control.register(V4, 21, flags=6)
    assert refused.value.errno == errno.EINVAL
    control.claim(V4, 21)
    assert not control.granted


def test_other_users_get_nothing(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    with as_user(65534):
        with pytest.raises(Refused) as refused:
            Control(d, "ftp")
    assert refused.value.errno == errno.EACCES


def test_route_that_names_the_port_comes_first(world, daemon):
    config = {"services": {"ftp": {"grants": {"passive": "1024-65535"}}},
              "routes": [{"to": V4, "port": 2121, "service": "ftp"}, {"to": V6, "service": "ftp"}]}
    d = daemon(config)
    control = Control(d, "ftp")
    control.grant(V4, 2121)
    assert not control.granted and len(d.claims("ftp")) == 1
    data = control.grant(V6, 2121)  # any port of it is routed, and no port is named
    assert control.granted and len(d.claims("ftp")) == 1
    data.listen(1)
    with answers(data, "data"):
        assert ask(world, V6, 2121) == "data"


def test_nothing_is_kept_of_thousands_of_sockets(world, daemon):
    d = daemon(CONFIG)
    control = Control(d, "ftp")
    control.grant(V4).close()
    before = open_fds(d.process.pid)
    start = time.monotonic()
    for _ in range(3000):
        control.grant(V4).close()
    print(f"{(time.monotonic() - start) / 3000 * 1e6:.0f} us each")
    assert open_fds(d.process.pid) == before
    assert d.claims("ftp") == []
    assert grants(d, "ftp")["passive"] == 3001
    taken = [control.grant(V4) for _ in range(10)]  # and no port is lost
    assert len(taken) == 10


def test_granted_sockets_survive_the_daemon_and_reloads(world, daemon):
    d = daemon(CONFIG)
    data = Control(d, "ftp").grant(V4)
    port = data.getsockname()[1]
    data.listen(5)
    with answers(data, "data"):
        d.reload(CONFIG)
        assert ask(world, V4, port) == "data"
        d.kill()
        assert ask(world, V4, port) == "data"
        d.start()
        assert ask(world, V4, port) == "data"
        with pytest.raises(Refused):
            Control(d, "ftp").grant(V4, port)
    data.close()
    assert ask(world, V4, port) == REFUSED


def test_a_grant_that_is_taken_away(world, daemon):
    d = daemon(CONFIG)
    control = Control(d, "ftp")
    data = control.grant(V4)
    port = data.getsockname()[1]
    data.listen(5)
    config = {"services": {**CONFIG["services"], "ftp": {}}, "routes": CONFIG["routes"]}
    d.reload(config)
    assert ask(world, V4, port) == REFUSED
    with pytest.raises(Refused):
        control.grant(V4)
    until(lambda: grants(d, "ftp")["refused"] == 1)


# What a program under the launcher sees: it binds, prints what it got, and listens or connects.
SCRIPT = """
import socket, sys
def bind(address, port, kind=socket.SOCK_STREAM):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.settimeout(10)
    try:
        sock.bind((address, port))
    except OSError as error:
        print("bind", error.strerror, flush=True)
        return None
    print("bound", *sock.getsockname()[:2], sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), flush=True)
    return sock
"""


def launched(world, d, script, *options):
    return run_once(world, d, "/usr/bin/python3", "-c", SCRIPT + script, options=["--isolate", *options])


def config_of_a(**grants):
    return {"services": {"a": {"grants": grants} if grants else {}},
            "routes": [{"to": [V4, V6], "port": 21, "service": "a"},
                       {"to": [V4, V6], "port": "1-65535", "refuse": True}]}


@BOTH
def test_program_gets_granted_sockets(world, daemon, address):
    d = daemon(config_of_a(passive="50000-50009", connect=[20]))
    listener = listening(world, CLIENT_V4 if address == V4 else CLIENT_V6)
    peer = listener.getsockname()[:2]
    result = launched(world, d, f"""
for port in (20, 0):
    sock = bind("{address}", port)
    sock.connect({peer})
    sock.send(b"data")
""")
    assert [listener.accept()[0].recv(10) for _ in range(2)] == [b"data"] * 2
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["bound", address, "20", "0"], result.stderr
    assert lines[1][:2] == ["bound", address] and 50000 <= int(lines[1][2]) <= 50009 and lines[1][3] == "0"
    assert result.stderr == ""


def test_program_listens_on_a_granted_socket(world, daemon, service):
    d = daemon(config_of_a(passive="50000-50009"))
    script = f"""
while True:
    sock = bind("{V4}", 0)
    sock.listen(1)
    connection = sock.accept()[0]
    connection.send(b"file")
    connection.close()
    sock.close()
"""
    s = service(d, "a", ["/usr/bin/python3", "-c", SCRIPT + script])
    for number in range(5):
        line = until(lambda: s.log().split("\n")[number:-1])[0]  # pylint: disable=cell-var-from-loop
        with connect(world, V4, int(line.split()[2]), timeout=5) as connection:
            assert connection.recv(10) == b"file"
    assert d.claims("a") == []


def test_program_is_told_once_of_what_is_not_granted(world, daemon):
    """The binds go on in its own namespace, as without the launcher."""
    d = daemon(config_of_a(passive="50000-50009"))
    result = launched(world, d, f"""
for port in (50010, 50011, 50012):
    bind("{V4}", port)
bind("{OTHER_V4}", 0)
bind("{V4}", 0, socket.SOCK_DGRAM)
bind("{V4}", 0, socket.SOCK_DGRAM)
""", "--address", OTHER_V4)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["bound", V4]] * 3 + [["bound", OTHER_V4]] + [["bound", V4]] * 2
    said = result.stderr.splitlines()
    assert len(said) == 3, said
    assert "no route of service 'a' covers tcp 192.0.2.1:50010; " in said[0]
    assert "no grant of service 'a' covers tcp 198.51.100.7 with any port; " in said[1]
    assert "no grant of service 'a' covers udp 192.0.2.1 with any port; " in said[2]


def test_ports_in_use_are_in_use_for_programs_too(world, daemon):
    d = daemon(config_of_a(passive="50000-50001"))
    result = launched(world, d, f"""
first, second = bind("{V4}", 50000), bind("{V4}", 50000)
third, fourth = bind("{V4}", 0), bind("{V4}", 0)
first.close()
fifth = bind("{V4}", 0)
""")
    assert result.stdout.splitlines() == [
        f"bound {V4} 50000 0", "bind Address already in use", f"bound {V4} 50001 0", "bind Address already in use",
        f"bound {V4} 50000 0"]


def test_bind_with_any_port_does_not_wait_for_a_daemon_that_has_no_grant(world, daemon, service):
    d = daemon(config_of_a())
    s = service(d, "a", ["/usr/bin/python3", "-c", SCRIPT + f"""
import time
bind("{V4}", 0)
time.sleep(2)
start = time.monotonic()
bind("{V4}", 0)
print("soon" if time.monotonic() - start < 10 else "late", flush=True)
"""])
    until(lambda: "bound" in s.log())
    d.kill()
    until(lambda: "soon" in s.log() or "late" in s.log(), 40)
    assert "soon" in s.log()


def test_trace_prints_grants(world, tmp_path):
    script = SCRIPT + f"""
sock = bind("{V4}", 21)
bind("{V4}", 0)
bind("{V6}", 0, socket.SOCK_DGRAM)
bind("127.0.0.1", 0)
"""
    result = world.run([paths.CLI, "run", "--trace", "--", "/usr/bin/python3", "-c", script], netns=world.host)
    yaml = result.stdout[result.stdout.index("services:"):]
    assert yaml == f"""services:
  python3:
    # It binds {V4} with any port. Keep 'connect' if it connects out from there, and
    # 'passive' if it listens there for a connection. A route has to be for the address.
    grants: {{passive: 50000-50100, connect: true, protocol: [tcp, udp]}}
routes:
  - {{to: "{V4}", port: 21, service: python3}}
"""
    assert f"binds tcp {V4}:0: passed through, a grant's matter" in result.stderr
    assert "binds tcp 127.0.0.1:0: passed through, and always the program's own" in result.stderr
    (tmp_path / "traced.yaml").write_text(yaml)
    world.run([paths.CLI, "check", tmp_path / "traced.yaml"])


def test_status_and_explain_tell_of_grants(world, daemon):
    d = daemon(CONFIG)
    data = Control(d, "ftp").grant(V4, 50007)
    data.listen(1)
    assert "  grants {passive: 50000-50009, connect: 20}: gave 1 passive and 0 connecting sockets, refused 0\n" in \
        d.cli("status").stdout
    assert d.cli("explain", "tcp", V4, "50007").stdout.splitlines()[1:] == [
        "route    none is asked", "outcome  served, by a grant, granted socket found by address"]


def test_grants_of_the_user_engine(world, daemon):
    config = {"engine": "user", "services": {"ftp": {"grants": {"passive": "50000-50001", "connect": [20]}}},
              "routes": [{"to": V4, "port": 21, "service": "ftp"}]}
    d = daemon(config)
    control = Control(d, "ftp")
    data = control.grant(V4, 50000)
    assert not listens(data)
    data.listen(1)
    with answers(data, "data"):
        assert ask(world, V4, 50000) == "data"
        assert control.grant(V4).getsockname()[1] == 50001
    listener = listening(world, CLIENT_V4)
    out = control.grant(V4, 20)
    out.connect(listener.getsockname())
    assert listener.accept()[1] == (V4, 20)
    data.close()
    assert ask(world, V4, 50000) == REFUSED
