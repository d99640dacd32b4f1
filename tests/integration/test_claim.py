# SPDX-License-Identifier: BSD-2-Clause
"""Claims over the control socket: who gets which socket, for how long, and what waits meanwhile."""
import errno
import os
import signal
import socket
import time

import pytest

from support import paths
from support.control import REUSEPORT, UDP, Control, Refused, as_user, claim_message, open_fds
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask, ask_udp, connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

pytestmark = pytest.mark.both_engines

NOBODY = 65534
ROUTES = [{"to": [V4, V6], "port": 80, "service": "a"},
          {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "a"}]


def config(**service):
    return {"services": {"a": service}, "routes": ROUTES}


def drain(listener):
    """Accepts all that waits."""
    listener.setblocking(False)
    taken = []
    while True:
        try:
            taken.append(listener.accept()[0])
        except BlockingIOError:
            return taken


def test_example_client_serves_both_families(world, daemon):
    d = daemon(config())
    world.start(["unshare", "-n", "/usr/bin/python3", paths.EXAMPLES / "claim.py", "a", "80"], "claim",
                env={"SOCKETBOX_CONTROL": str(d.control)})
    until(lambda: world.curl(f"http://{V4}/", check=False))
    assert world.curl(f"http://{V4}/") == f"::ffff:{CLIENT_V4} reached ::ffff:{V4}\n"
    assert world.curl(f"http://[{V6}]/") == f"{CLIENT_V6} reached {V6}\n"


def test_a_second_claim_shares_the_socket(world, daemon):
    d = daemon(config())
    first, second = Control(d, "a"), Control(d, "a")
    first.claim("::")
    second.claim("::")
    assert (first.shared, second.shared) == (0, 1)
    assert first.cookie == second.cookie
    [claim] = d.claims("a")
    assert len(claim["claimants"]) == 2
    first.close()
    second.server = Answers(second.socket, "second")
    assert ask(world, V4) == "second"


def test_connections_wait_for_the_next_claim(world, daemon):
    d = daemon(config(hold="30s"))
    first = Control(d, "a")
    first.claim("::")
    first.close()
    until(lambda: d.claims("a")[0]["hold_left_ms"] > 0)
    waiting = [connect(world, address) for address in (V4, V6, V6)]
    assert d.claims("a")[0]["backlog"] == 3
    second = Control(d, "a")
    Answers(second.claim("::"), "second")
    assert second.shared == 1
    for connection in waiting:
        connection.send(b"x")
        assert b"second" in connection.recv(100)


def test_nothing_is_held_longer_than_hold(world, daemon):
    check_hold(world, daemon, 0)


@pytest.mark.kernel_engine("without steering there is no standby: a group is as the kernel has it")
def test_no_group_is_held_longer_than_hold(world, daemon):
    check_hold(world, daemon, REUSEPORT)


def check_hold(world, daemon, flags):
    d = daemon(config(hold="300ms"))
    control = Control(d, "a")
    control.claim("::", flags=flags)
    control.close()
    time.sleep(0.1)
    connect(world, V4).close()
    until(lambda: not d.claims("a"))
    assert ask(world, V4) == REFUSED
    d.reload(config(hold=0))
    control = Control(d, "a")
    control.claim("::", flags=flags)
    control.close()
    until(lambda: not d.claims("a"))
    assert ask(world, V4) == REFUSED


def test_a_socket_that_was_shut_down_is_replaced(world, daemon, engine):
    d = daemon(config())
    first, second = Control(d, "a"), Control(d, "a")
    stopped = first.claim("::")
    d.process.pause()
    stopped.shutdown(socket.SHUT_RDWR)
    if engine == "kernel":
        assert ask(world, V4, timeout=1) == SILENT  # not refused, so that the client tries again
    d.process.send(signal.SIGCONT)
    until(lambda: ask(world, V4, timeout=1) == SILENT)  # there is a socket to wait in
    with connect(world, V4, timeout=10) as waiting:
        Answers(second.claim("::"), "second")
        waiting.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"second" in waiting.recv(4096)
    assert ask(world, V4) == "second"
    assert first.cookie != second.cookie


@pytest.mark.kernel_engine("who of a group lives is known from the socket map")
def test_reuseport_sockets_share_connections(world, daemon):
    d = daemon(config())
    members = [Control(d, "a") for _ in range(3)]
    servers = [Answers(control.claim("::", flags=REUSEPORT), "a") for control in members]
    assert len({control.cookie for control in members}) == 3
    for i in range(60):
        assert ask(world, (V4, V6)[i % 2]) == "a"
    assert sum(server.count for server in servers) == 60
    assert all(server.count > 5 for server in servers)
    assert d.claims("a")[0]["sockets"] == 3
    for server, control in list(zip(servers, members))[:2]:
        server.stop()
        control.close()
    assert [ask(world, V6) for _ in range(10)] == ["a"] * 10
    assert d.claims("a")[0]["sockets"] == 1


@pytest.mark.kernel_engine("without steering there is no standby: a group is as the kernel has it")
def test_the_backlog_of_a_closing_reuseport_socket_moves_to_the_others(world, daemon):
    d = daemon(config())
    stays, goes = Control(d, "a"), Control(d, "a")
    for control in stays, goes:
        control.claim("::", flags=REUSEPORT)
    waiting = [connect(world, (V4, V6)[i % 2]) for i in range(64)]
    goes.close()
    assert len(drain(stays.socket)) == len(waiting)


@pytest.mark.kernel_engine("without steering there is no standby: a group is as the kernel has it")
def test_connections_wait_for_the_next_reuseport_claim(world, daemon):
    d = daemon(config())
    members = [Control(d, "a") for _ in range(2)]
    for control in members:
        control.claim("::", flags=REUSEPORT)
    waiting = [connect(world, V6) for _ in range(16)]
    for control in members:
        control.close()
    until(lambda: d.claims("a")[0]["backlog"] == 16)
    waiting += [connect(world, V4) for _ in range(16)]
    control = Control(d, "a")
    assert len(drain(control.claim("::", flags=REUSEPORT))) == len(waiting)
    Answers(control.socket, "next")
    assert ask(world, V4) == "next"


@pytest.mark.kernel_engine("without steering there is no standby: a group is as the kernel has it")
def test_reuseport_and_single_sockets_do_not_mix(world, daemon):
    d = daemon(config())
    single = Control(d, "a")
    single.claim("::")
    with pytest.raises(Refused, match="does not set SO_REUSEPORT") as info:
        Control(d, "a").claim("::", flags=REUSEPORT)
    assert info.value.errno == errno.EADDRINUSE
    single.close()
    until(lambda: d.claims("a")[0]["hold_left_ms"] > 0)
    waiting = connect(world, V4)
    group = Control(d, "a")
    assert len(drain(group.claim("::", flags=REUSEPORT))) == 1, "what waited for the single socket"
    with pytest.raises(Refused, match="sets SO_REUSEPORT"):
        Control(d, "a").claim("::")
    group.close()
    waiting.close()
    until(lambda: d.claims("a")[0]["sockets"] == 0)
    waiting = connect(world, V4)
    single = Control(d, "a")
    assert len(drain(single.claim("::"))) == 1, "what waited for the group"
    Answers(single.socket, "single")
    assert ask(world, V6) == "single"


def test_udp_is_claimed_and_held(world, daemon):
    d = daemon(config())
    control = Control(d, "a")
    control.claim("::", 53, protocol=UDP)
    control.close()
    until(lambda: d.claims("a")[0]["hold_left_ms"] > 0)
    waiting = connect(world, V6, 53, kind=socket.SOCK_DGRAM)
    waiting.send(b"x")
    again = Control(d, "a")
    Answers(again.claim("::", 53, protocol=UDP), "again")
    assert b"again" in waiting.recv(100)
    assert [ask_udp(world, V4), ask_udp(world, V6)] == ["again"] * 2


@pytest.mark.parametrize("address,port,fields,text", [
    (V4, 81, {}, r"no route of service 'a' covers tcp 192\.0\.2\.1:81; to serve it, add the route "
                 r'\{to: "192\.0\.2\.1", port: 81, service: a\}'),
    ("::", 80, {"protocol": UDP}, r"add the route \{to: ADDRESS, port: 80, protocol: udp, service: a\}"),
    ("192.0.2.9", 80, {}, "no route"),
])
def test_what_no_route_covers_is_refused_with_the_line_that_would(world, daemon, address, port, fields, text):
    d = daemon(config())
    with pytest.raises(Refused, match=text) as info:
        Control(d, "a").claim(address, port, **fields)
    assert info.value.errno == errno.ENOENT
    assert not d.claims("a")


@pytest.mark.parametrize("allow,uid,gid,groups,allowed", [
    ({}, NOBODY, NOBODY, (), False),
    ({}, 0, 0, (), True),
    ({"user": "nobody"}, NOBODY, 12345, (), True),
    ({"user": [NOBODY]}, 12345, 12345, (), False),
    ({"user": "nobody"}, 0, 0, (), True),
    ({"group": "nogroup"}, 12345, NOBODY, (), True),
    ({"group": "nogroup"}, 12345, 12345, (NOBODY,), True),
    ({"group": "nogroup"}, 12345, 12345, (12346,), False),
], ids=str)
def test_allow_decides_by_the_credentials_that_the_kernel_vouches_for(
        world, daemon, allow, uid, gid, groups, allowed):
    d = daemon(config(**({"allow": allow} if allow else {})))
    for directory in [d.run_dir, *d.run_dir.parents]:
        if directory.is_relative_to("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    with as_user(uid, gid, groups):
        control = Control(d)
    if allowed:
        control.hello("a")
        control.claim("::")
    else:
        with pytest.raises(Refused, match="service 'a'.*allow") as info:
            control.hello("a")
        assert info.value.errno == errno.EACCES
        with pytest.raises(Refused):
            control.claim("::")


def test_an_unknown_service_is_named_with_the_remedy(world, daemon):
    d = daemon(config())
    with pytest.raises(Refused, match="no service 'b' in .*daemon.yaml; add it") as info:
        Control(d, "b")
    assert info.value.errno == errno.ESRCH


@pytest.mark.kernel_engine("a wildcard and an address of it share a port only by steering")
def test_claims_leave_no_descriptors_behind(world, daemon):
    d = daemon(config(hold=0))
    before = open_fds(d.process.pid)
    for flags in 0, REUSEPORT:
        for _ in range(50):
            control = Control(d, "a")
            control.claim("::", flags=flags)
            control.claim(V4, flags=flags)
            control.claim("::", 53, protocol=UDP, flags=flags)
            control.close()
            until(lambda: not d.claims("a"))
    for _ in range(20):  # ended between the request and its answer
        control = Control(d, "a")
        control.send(claim_message("::", 80))
        control.channel.close()
    until(lambda: not d.claims("a"))
    until(lambda: open_fds(d.process.pid) == before, timeout=60)


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_a_registered_claim_outlives_the_daemon(world, daemon, engine, flags):
    d = daemon(config())
    control = Control(d, "a")
    Answers(control.claim("::", flags=flags), "a")
    d.restart()
    assert d.status()["engine"]["adopted"] == (engine == "kernel")
    assert ask(world, V4) == "a", "nobody has registered yet"
    again = Control(d, "a")
    again.register("::", flags=flags, fds=[] if flags else [control.socket.fileno()])
    [claim] = d.claims("a")
    assert claim["claimants"][0]["pid"] == os.getpid()
    assert ask(world, V6) == "a"


def test_only_the_socket_in_force_can_be_registered(world, daemon):
    d = daemon(config())
    control = Control(d, "a")
    Answers(control.claim("::"), "a")
    d.restart()
    stranger = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(Refused) as info:
        Control(d, "a").register("::", fds=[stranger.fileno()])
    assert info.value.errno == errno.ESTALE
    assert ask(world, V4) == "a"
    assert not d.claims("a")


def test_a_specific_exclusive_address_is_bound_for_real(world, daemon):
    d = daemon(config())
    control = Control(d, "a")
    claimed = control.claim(V4)
    assert claimed.getsockname() == (V4, 80)
