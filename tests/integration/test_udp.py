# SPDX-License-Identifier: BSD-2-Clause
"""UDP sockets of services: prefixes, connected sockets, groups that restart, routes that go."""
import json
import socket
import subprocess
import threading

import pytest

from support.control import REUSEPORT, UDP, Control
from support.launch import run_once
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask_udp, connect
from support.world import CLIENT_V4, CLIENT_V6, PREFIX_V6, V4, V6

IN_PREFIX_V4, IN_PREFIX_V6 = "198.51.100.7", "2001:db8:1::7"
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50
CONFIG = {"services": {"a": {"hold": "20s"}},
          "routes": [{"to": [V4, V6, PREFIX_V6, "198.51.100.0/24"], "protocol": "udp", "port": 53, "service": "a"}]}


class AnswersFromTheAsked(Answers):
    """A server on the wildcard that answers from the address that was asked, by IPV6_RECVPKTINFO."""

    def __init__(self, sock, text):
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        super().__init__(sock, text)

    def _answer(self):
        _, ancillary, _, peer = self.sock.recvmsg(4096, 256)
        information = next(data for level, kind, data in ancillary
                           if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO))
        source = information[:16] + bytes(4)  # any interface
        self.sock.sendmsg([self.page], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, source)], 0, peer)


def serve(daemon, address, text="a", server=Answers, **fields):
    control = Control(daemon, "a")
    control.server = server(control.claim(address, 53, protocol=UDP, **fields), text)
    return control


def end(control):
    control.server.stop()
    control.close()


def query(world, address, port=53):
    """A socket of the client's that has asked, and waits for the answer."""
    asked = connect(world, address, port, timeout=5, kind=socket.SOCK_DGRAM)
    asked.send(b"waiting")
    return asked


def answer(asked):
    with asked:
        return asked.recv(4096).decode().split("\r\n\r\n")[1]


def test_pktinfo_serves_whole_prefixes_of_either_family(world, daemon):
    d = daemon(CONFIG)
    serve(d, "::", server=AnswersFromTheAsked)
    # ask_udp connects: it takes answers from the address it asked only.
    assert [ask_udp(world, a) for a in (V4, V6, IN_PREFIX_V4, IN_PREFIX_V6)] == ["a"] * 4


def test_a_prefix_that_a_reload_brings_is_answered_too(world, daemon):
    d = daemon({"services": {"a": {}}, "routes": [{"to": V6, "protocol": "udp", "port": 53, "service": "a"}]})
    serve(d, "::", server=AnswersFromTheAsked)
    d.reload(CONFIG)
    assert [ask_udp(world, a) for a in (V6, IN_PREFIX_V6)] == ["a"] * 2


def test_explain_says_what_a_prefix_route_needs(world, daemon):
    d = daemon(CONFIG)
    unclaimed = d.explain("udp", IN_PREFIX_V6, "53", CLIENT_V6)
    assert "answers with IPV6_RECVPKTINFO, since the route is for a prefix" in unclaimed["needs"]
    assert "needs" not in d.explain("udp", V6, "53", CLIENT_V6)
    control = serve(d, "::")
    assert ask_udp(world, IN_PREFIX_V6, timeout=0.3) == SILENT  # the answer comes from another address
    lacking = d.explain("udp", IN_PREFIX_V6, "53", CLIENT_V6)
    assert f"answers leave from {V6} and not from {IN_PREFIX_V6}" in lacking["needs"]
    assert lacking["socket"]["claim"]["pktinfo"] is False
    assert "IP_PKTINFO, which the program has not set" in d.explain("udp", IN_PREFIX_V4, "53", CLIENT_V4)["needs"]
    assert "needs    IPV6_RECVPKTINFO" in d.cli("explain", "udp", IN_PREFIX_V6, "53", CLIENT_V6).stdout
    # The address that the kernel picks anyway needs nothing, and is answered.
    assert "needs" not in d.explain("udp", V6, "53", CLIENT_V6)
    assert ask_udp(world, V6) == "a"
    control.server.sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    assert "needs" not in d.explain("udp", IN_PREFIX_V6, "53", CLIENT_V6)
    assert d.claims("a")[0]["pktinfo"] is True


def test_explain_cannot_see_the_options_of_reuseport_sockets(world, daemon):
    d = daemon(CONFIG)
    serve(d, "::", flags=REUSEPORT)
    assert "if the program does not set it" in d.explain("udp", IN_PREFIX_V6, "53", CLIENT_V6)["needs"]


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_a_route_that_goes_takes_its_packets_from_the_socket(world, daemon, flags):
    d = daemon(CONFIG)
    for address in V4, V6:
        serve(d, address, flags=flags)
    assert [ask_udp(world, V4), ask_udp(world, V6)] == ["a", "a"]
    d.reload({"services": {"a": {}}, "routes": [{"to": V6, "protocol": "udp", "port": 53, "service": "a"}]})
    # The socket is bound to V4 still, so the kernel's own lookup finds it.
    assert ask_udp(world, V4, timeout=0.3) in (REFUSED, SILENT)
    assert ask_udp(world, V6) == "a"
    d.reload(CONFIG)
    assert [ask_udp(world, V4), ask_udp(world, V6)] == ["a", "a"]


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
@pytest.mark.parametrize("address", [V6, "::"])
def test_queries_wait_while_the_service_restarts(world, daemon, flags, address):
    d = daemon(CONFIG)
    first = serve(d, address, flags=flags)
    assert ask_udp(world, V6) == "a"
    end(first)
    until(lambda: d.claims("a")[0]["state"] == "held")
    waiting = [query(world, V6) for _ in range(20)]
    serve(d, address, "b", flags=flags)
    assert [answer(asked) for asked in waiting] == ["b"] * 20
    assert ask_udp(world, V6) == "b"


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_queries_are_refused_once_the_hold_time_is_over(world, daemon, flags):
    d = daemon({**CONFIG, "services": {"a": {"hold": "100ms"}}})
    end(serve(d, V6, flags=flags))
    until(lambda: not d.claims("a"))
    assert ask_udp(world, V6) == REFUSED


def test_connected_sockets_of_a_group_hear_their_peers_alone(world, daemon):
    """As DTLS servers do: a socket with SO_REUSEPORT for each client, which is connected to it."""
    d = daemon(CONFIG)
    serve(d, V6, "others", flags=REUSEPORT)
    clients = [connect(world, V6, 53, timeout=5, kind=socket.SOCK_DGRAM) for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(b"hello")
        assert client.recv(4096).endswith(b"others")
        control = Control(d, "a")
        made = control.claim(V6, 53, protocol=UDP, flags=REUSEPORT)
        made.connect(client.getsockname()[:2])
        control.server = Answers(made, f"own {number}")
    for client in clients:
        client.send(b"x")
    assert [answer(client) for client in clients] == [f"own {number}" for number in range(8)]
    assert {ask_udp(world, V6) for _ in range(32)} == {"others"}


def connect_to_client(world, server):
    """Connects a socket of the service's to a client, which has to be heard first."""
    with connect(world, V6, 53, kind=socket.SOCK_DGRAM) as client:
        client.send(b"hello")
        server.connect(server.recvfrom(100)[1])


def test_a_single_socket_that_was_connected_is_replaced(world, daemon):
    d = daemon(CONFIG)
    first = Control(d, "a")
    connect_to_client(world, first.claim(V6, 53, protocol=UDP))
    assert ask_udp(world, V6) == REFUSED
    serve(d, V6)
    assert ask_udp(world, V6) == "a"
    first.close()
    assert ask_udp(world, V6) == "a"


ONE_AFTER_ANOTHER = f"""
import errno, os, socket
def made(*options):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for option in options: s.setsockopt(socket.SOL_SOCKET, option, 1)
    return s
def bind(s):
    try: s.bind(('{V6}', 53))
    except OSError as error: return errno.errorcode[error.errno]
    return 'bound'
first = made()
print(bind(first), bind(made()))
child = os.fork()
if child == 0:
    first.connect(('{CLIENT_V6}', 9))
    print(bind(made()), flush=True)
    os._exit(0)
first.close()
os.waitpid(child, 0)
second = made()
print(bind(second))  # the connected one is gone, and not what it gets
try: print(second.getpeername())
except OSError as error: print(errno.errorcode[error.errno])
second.close()
print(bind(made(socket.SO_REUSEADDR)), bind(made(socket.SO_REUSEADDR)))
"""


def test_an_address_that_a_process_of_the_service_has_is_in_use(world, daemon):
    d = daemon(CONFIG, options=["--confinement", "off"])  # the program connects to whom it has not heard
    result = run_once(world, d, "/usr/bin/python3", "-uc", ONE_AFTER_ANOTHER, options=["--isolate"])
    assert result.stdout.split() == ["bound", "EADDRINUSE", "EADDRINUSE", "bound", "ENOTCONN", "bound", "bound"]
    assert result.stderr == ""


def test_a_connected_socket_goes_on_when_its_address_is_claimed_again(world, daemon):
    """As TFTP servers have it, which bind a wildcard and a port for each transfer."""
    d = daemon(CONFIG)
    client = connect(world, V6, 53, timeout=5, kind=socket.SOCK_DGRAM)
    first = Control(d, "a")
    first.claim("::", 53, protocol=UDP)
    client.send(b"hello")
    first.socket.connect(first.socket.recvfrom(100)[1])
    first.server = Answers(first.socket, "first")
    serve(d, "::", "second")
    client.send(b"x")
    assert client.recv(4096).endswith(b"first")
    client.send(b"x")
    assert answer(client) == "first"
    assert ask_udp(world, V6) == "second"


def guards(daemon):
    shown = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", daemon.run_dir / "bpf" / "v2" / "guards"],
                           capture_output=True, text=True, check=True)
    return len(json.loads(shown.stdout))


def test_programs_sockets_leave_no_guards_behind(world, daemon):
    """Neither those of a service that goes, nor those of a daemon that dies; what is claimed lives on, and stays guarded."""
    claimed = [{"to": PREFIX_V6, "protocol": "udp", "port": 53, "service": "a"}]
    started = {"services": {"a": {"hold": "20s"}, "b": {"exec": {"command": ["/bin/cat"], "wait": True}}},
               "routes": [*claimed, {"to": [V4, V6], "protocol": "udp", "port": [53, 54], "service": "b"}]}
    d = daemon(started)
    control = serve(d, "::", server=AnswersFromTheAsked)
    assert guards(d) == 5
    for _ in range(3):
        d.restart()
        assert guards(d) == 5
    assert ask_udp(world, IN_PREFIX_V6) == "a"
    d.reload({"services": {"a": {"hold": "20s"}}, "routes": claimed})
    assert guards(d) == 1
    end(control)


def test_claims_leave_no_guards_behind(world, daemon):
    d = daemon({**CONFIG, "services": {"a": {"hold": "0s"}}})
    for flags in 0, REUSEPORT:
        for _ in range(5):
            controls = [serve(d, "::", flags=flags) for _ in range(3 if flags else 1)]
            assert ask_udp(world, V6) == "a"
            for control in controls:
                end(control)
            until(lambda: not d.claims("a"))
    control = Control(d, "a")
    for _ in range(5):
        with control.claim("::", 53, protocol=UDP) as made:
            connect_to_client(world, made)
    assert guards(d) == 1
    control.close()
    until(lambda: not d.claims("a"))
    assert guards(d) == 0
