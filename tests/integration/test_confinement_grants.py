# SPDX-License-Identifier: BSD-2-Clause
"""What the confinement leaves to services: what their grants say, and UDP peers that they have heard."""
import errno
import socket

import pytest

from support.control import REUSEPORT, UDP, Control
from support.traffic import connect, family_of, host_server, in_namespace
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

CONFIG = {
    "services": {
        "ftp": {"grants": {"passive": "50000-50009", "connect": [20]}},
        "web": {"grants": {"passive": "50000-50009"}},
        "tftp": {"grants": {"passive": "50000-50009", "protocol": "udp"}},
        "ntp": {"grants": {"connect": [123], "protocol": "udp"}},
        "dns": {"grants": {"passive": "50000-50009", "protocol": "udp"}},
    },
    "routes": [
        {"to": [V4, V6], "port": 21, "service": "ftp"},
        {"to": [V4, V6], "port": 80, "service": "web"},
        {"to": [V4, V6], "port": 69, "protocol": "udp", "service": "tftp"},
        {"to": [V4, V6], "port": 123, "protocol": "udp", "service": "ntp"},
        {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "dns"},
    ],
}
BOTH = pytest.mark.parametrize("address", [V4, V6])
HOST_PORT = 9999
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def client_of(address):
    return CLIENT_V4 if ":" not in address else CLIENT_V6


def client_socket(world, address, kind):
    """A socket of the client's that waits to be sent to."""
    made = in_namespace(world.client, lambda: socket.socket(family_of(address), kind))
    made.bind((client_of(address), 0))
    made.settimeout(5)
    if kind == STREAM:
        made.listen(8)
    return made


def attempt(function, *arguments):
    """"ok", or the name of the errno."""
    try:
        function(*arguments)
        return "ok"
    except OSError as error:
        return errno.errorcode.get(error.errno, "timeout")


def on_loopback(address):
    """The names by which a socket on this address could reach the host's own loopback."""
    if address == V6:
        return ["::1"]
    return ["127.0.0.1", "127.200.0.9", "0.0.0.0"]


@pytest.mark.parametrize("confinement, loopback", [("required", "EPERM"), ("off", "ok")])
@pytest.mark.parametrize("address, family", [(V4, 4), (V6, 6), (f"::ffff:{V4}", 6)], ids=["ipv4", "ipv6", "mapped"])
def test_a_connect_grant_is_for_the_network_and_not_for_loopback(world, daemon, address, family, confinement, loopback):
    d = daemon(CONFIG, options=["--confinement", confinement])
    ftp, mapped = Control(d, "ftp"), "::ffff:" if "ffff" in address else ""
    plain = address.removeprefix("::ffff:")
    target = client_socket(world, plain, STREAM)
    secret = host_server(world, "0.0.0.0" if plain == V4 else "::", HOST_PORT, "secret")
    out = ftp.grant(address, 20, family=family)
    out.connect((mapped + client_of(plain), target.getsockname()[1]))
    target.accept()[0].close()
    for name in on_loopback(plain):
        out = ftp.grant(address, 20, family=family)
        assert attempt(out.connect, (mapped + name, HOST_PORT)) == loopback, name
        out.close()
    assert confinement == "off" or attempt(ftp.grant(address, 20, family=family).bind, (address, 7777)) == "EPERM"
    secret.stop()


@BOTH
def test_a_passive_grant_does_not_connect(world, daemon, address):
    d = daemon(CONFIG, options=["--confinement", "required"])
    target = client_socket(world, address, STREAM)
    data = Control(d, "web").grant(address)
    assert attempt(data.connect, target.getsockname()[:2]) == "EPERM"
    data.listen(1)  # what it is for
    with connect(world, address, data.getsockname()[1]):
        data.accept()[0].close()


@BOTH
def test_a_service_answers_its_udp_peers_from_each_of_its_sockets(world, daemon, address):
    """As TFTP servers do."""
    d = daemon(CONFIG, options=["--confinement", "required"])
    tftp = Control(d, "tftp")
    listener, data, stranger = tftp.claim(address, 69, protocol=UDP), tftp.grant(address, protocol=UDP), \
        Control(d, "dns").grant(address, protocol=UDP)
    client, other = (client_socket(world, address, DGRAM) for _ in range(2))
    client.sendto(b"read", (address, 69))
    peer = listener.recvfrom(100)[1]
    data.sendto(b"block", peer)
    assert client.recvfrom(100) == (b"block", data.getsockname())
    assert attempt(data.sendto, b"block", other.getsockname()) == "EPERM"
    assert attempt(stranger.sendto, b"block", peer) == "EPERM"
    data.connect(peer)
    data.send(b"more")
    assert client.recv(100) == b"more"
    assert attempt(data.connect, other.getsockname()) == "EPERM"


@BOTH
def test_sockets_of_a_group_answer_each_others_peers(world, daemon, address):
    """As QUIC servers do, which connect one to each client."""
    d = daemon(CONFIG, options=["--confinement", "required"])
    one, other = (Control(d, "dns").claim(address, 53, protocol=UDP, flags=REUSEPORT) for _ in range(2))
    client = client_socket(world, address, DGRAM)
    heard = []
    for _ in range(20):  # until a member has it, whichever that is
        client.sendto(b"query", (address, 53))
        for member, fellow in (one, other), (other, one):
            member.settimeout(0.2)
            try:
                heard.append((member.recvfrom(100)[1], fellow))
            except TimeoutError:
                pass
        if heard:
            break
    [(peer, fellow)] = heard[:1]
    fellow.connect(peer)
    fellow.send(b"answer")
    assert client.recv(100) == b"answer"


@BOTH
def test_a_claimed_udp_socket_sends_first_where_a_grant_says_so(world, daemon, address):
    d = daemon(CONFIG, options=["--confinement", "required"])
    client = client_socket(world, address, DGRAM)
    granted = Control(d, "ntp").claim(address, 123, protocol=UDP)
    granted.sendto(b"time?", client.getsockname())
    assert client.recv(100) == b"time?"
    for name in [*on_loopback(address), "0.0.0.0" if address == V4 else "::"]:
        assert attempt(granted.sendto, b"x", (name, HOST_PORT)) == "EPERM"
    assert attempt(Control(d, "dns").claim(address, 53, protocol=UDP).sendto, b"x", client.getsockname()) == "EPERM"


def host_client(world, loopback):
    """A socket of the host's own, on its loopback, whom no program of the host's has asked anything yet."""
    made = in_namespace(world.host, lambda: socket.socket(family_of(loopback), DGRAM))
    made.settimeout(5)
    made.bind((loopback, 0))
    return made


@BOTH
def test_a_client_on_loopback_is_answered_where_routes_lead_there(world, daemon, address):
    """Others may not send there, even if they have been asked from there."""
    loopback = "127.0.0.1" if address == V4 else "::1"
    there = {**CONFIG, "routes": [*CONFIG["routes"], {"to": loopback, "port": 53, "protocol": "udp", "service": "dns"}]}
    d = daemon(there, options=["--confinement", "required"])
    on_network, on_it = (Control(d, "dns").claim(to, 53, protocol=UDP) for to in (address, loopback))
    other = Control(d, "tftp").claim(address, 69, protocol=UDP)

    def answered(listener, to, port=53):
        listener.settimeout(5)
        with host_client(world, loopback) as client:
            client.sendto(b"query", (to, port))
            peer = listener.recvfrom(100)[1]
            assert peer[0] == loopback
            result = attempt(listener.sendto, b"answer", peer)
            if result == "ok":
                assert client.recv(100) == b"answer"
            return result

    assert (answered(on_it, loopback), answered(on_network, address)) == ("ok", "ok")
    with host_client(world, loopback) as silent:
        assert attempt(on_it.sendto, b"x", silent.getsockname()) == "EPERM"
    assert answered(other, address, 69) == "EPERM"
    d.reload(CONFIG)
    assert answered(on_network, address) == "EPERM"
    d.restart()
    assert answered(on_network, address) == "EPERM"
    d.reload(there)
    assert answered(on_network, address) == "ok"
    d.upgrade()
    assert answered(on_network, address) == "ok"


@BOTH
def test_a_client_of_the_host_at_its_own_address_is_answered(world, daemon, address):
    d = daemon(CONFIG, options=["--confinement", "required"])
    listener = Control(d, "dns").claim(address, 53, protocol=UDP)
    with host_client(world, address) as client:
        client.sendto(b"query", (address, 53))
        listener.sendto(b"answer", listener.recvfrom(100)[1])
        assert client.recv(100) == b"answer"
