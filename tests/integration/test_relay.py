# SPDX-License-Identifier: BSD-2-Clause
"""socketbox relay: bytes, ends and resets, backends that fail, limits, mappings."""
import array
import json
import os
import signal
import socket
import struct
import subprocess
import time

import pytest

from support import paths
from support.process import until
from support.relay import Named, Relay, ask, check_streams, dial, listener
from support.world import CLIENT_V4, CLIENT_V6, V4, V6, _ip_in

LISTEN = ("--listen", "127.0.0.1:7000")
BACKEND = "127.0.0.1:7001"


def streams(world, server, count=200, at_once=200):
    result = world.run([paths.STREAMS, "127.0.0.1", 7000, *server, count, at_once], netns=world.host, timeout=150)
    return json.loads(result.stdout)


@pytest.mark.parametrize("prefix", [(), ("prlimit", "--nofile=300:300")], ids=["splice", "few-descriptors"])
def test_random_data_with_half_closes_and_resets(world, prefix):
    """With few descriptors most flows find no pipe and are copied, and connections wait for their turn."""
    relay = Relay(world, *LISTEN, BACKEND, prefix=prefix)
    check_streams(streams(world, ["127.0.0.1", 7001], 400, 200), 400)
    report = relay.report()
    assert (report["taken"], report["finished"], report["reset"], report["failed"]) == (400, 240, 160, 0)
    assert (report["established"], report["waiting"]) == (0, 0)
    assert relay.descriptors() < 16 + 2 * report["pipes"]
    assert relay.process.stop() == 0


def test_end_and_answer_over_a_unix_socket(world):
    path = world.directory / "backend.sock"
    backend = listener(world, 0, str(path))
    Relay(world, *LISTEN, f"unix:{path}")
    data = os.urandom(3_000_000)
    with dial(world) as client:
        accepted, _ = backend.accept()
        with accepted:
            accepted.settimeout(20)
            client.setblocking(False)
            got, sent = bytearray(), 0
            while sent < len(data) or len(got) < len(data):
                if sent < len(data):
                    try:
                        sent += client.send(data[sent:sent + 65536])
                    except BlockingIOError:
                        pass
                if len(got) < sent:
                    got += accepted.recv(1 << 20)
            assert got == data
            client.settimeout(20)
            client.shutdown(socket.SHUT_WR)
            assert accepted.recv(1) == b""
            accepted.sendall(b"after the end")
        assert client.makefile("rb").read() == b"after the end"


def test_reset_while_the_other_end_waits(world):
    """A client that has sent its end and then resets: the backend hears of it at once, though it sends nothing."""
    backend = listener(world, 7001)
    Relay(world, *LISTEN, BACKEND)
    client = dial(world)
    accepted, _ = backend.accept()
    accepted.settimeout(10)
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(1) == b""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    until(lambda: accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0)


def test_reader_that_stops_stops_the_sender(world):
    backend = listener(world, 7001)
    relay = Relay(world, *LISTEN, BACKEND)
    with dial(world) as client:
        accepted, _ = backend.accept()
        before = relay.memory_kib()
        client.setblocking(False)
        sent, quiet = 0, time.monotonic()
        while time.monotonic() - quiet < 1:
            try:
                sent += client.send(bytes(1 << 20))
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
        ticks = relay.processor_ticks()
        time.sleep(1)
        assert relay.processor_ticks() - ticks < 20  # it sleeps
        assert sent < 64 << 20
        assert relay.memory_kib() - before < 8192
        client.setblocking(True)
        client.shutdown(socket.SHUT_WR)
        got = 0
        while chunk := accepted.recv(1 << 20):
            got += len(chunk)
        assert got == sent
        accepted.close()


def test_dead_backends_are_skipped_and_retried(world):
    first = Named(world, "first", 7001)
    relay = Relay(world, *LISTEN, BACKEND, "127.0.0.1:7002", "127.0.0.1:7003")
    third = Named(world, "third", 7003)
    assert [ask(world)["name"] for _ in range(6)].count("first") == 3
    first.stop()
    assert {ask(world)["name"] for _ in range(6)} == {"third"}
    assert "backend 127.0.0.1:7002: connect: Connection refused; skipped for 1 s" in relay.log()
    back = Named(world, "back", 7002)
    until(lambda: ask(world)["name"] == "back", timeout=60)
    assert "backend 127.0.0.1:7002: reachable again" in relay.log()
    assert relay.report()["backends"]["127.0.0.1:7002"][1] == 0
    third.stop()
    back.stop()
    with pytest.raises(ConnectionResetError):
        with dial(world) as client:
            client.recv(1)
    assert relay.report()["failed"] == 1


def test_connect_timeout(world):
    """A backend that does not answer (there is no such machine) costs its timeout, and then the next one is tried."""
    Named(world, "alive", 7001)
    relay = Relay(world, *LISTEN, "--connect-timeout", "300ms", "192.0.2.200:80", BACKEND)
    assert {ask(world)["name"] for _ in range(4)} == {"alive"}
    assert "backend 192.0.2.200:80: connect: Connection timed out" in relay.log()


def test_idle_timeout_counts_from_the_last_byte(world):
    backend = listener(world, 7001)
    relay = Relay(world, *LISTEN, "--idle-timeout", "1500ms", BACKEND)
    client = dial(world)
    accepted, _ = backend.accept()
    for _ in range(5):
        time.sleep(0.6)
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"
    for end in client, accepted:
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    assert relay.report()["idle"] == 1


def test_no_more_descriptors(world):
    """All who wait get their turn; meanwhile the relay neither ends nor spins."""
    Named(world, "only", 7001)
    relay = Relay(world, *LISTEN, BACKEND, prefix=["prlimit", "--nofile=64:64"])
    clients = [dial(world) for _ in range(100)]
    time.sleep(1)
    ticks = relay.processor_ticks()
    time.sleep(2)
    assert relay.processor_ticks() - ticks < 40
    assert relay.descriptors() <= 64
    for client in clients:
        with client:
            client.sendall(b"hello\n")
            assert json.load(client.makefile("rb"))["name"] == "only"
    report = relay.report()
    assert (report["taken"], report["finished"], report["failed"]) == (100, 100, 0)


def test_limit_of_connections(world):
    backend = listener(world, 7001)
    relay = Relay(world, *LISTEN, "--connections", 2, BACKEND)
    clients = [dial(world) for _ in range(3)]
    accepted = [backend.accept()[0] for _ in range(2)]
    backend.settimeout(0.5)
    with pytest.raises(TimeoutError):
        backend.accept()
    assert relay.report()["established"] == 2
    accepted[0].close()
    for client in clients:
        client.close()
    backend.settimeout(10)
    backend.accept()


def send(channel, message, *fds):
    channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def test_received_connections(world):
    """"A" messages; others are refused, said, and do no harm."""
    Named(world, "backend", 7001)
    path = str(world.directory / "receive.sock")
    relay = Relay(world, "--receive", path, "--proxy-protocol", "v1", BACKEND, ready=False)
    until(lambda: os.path.exists(path))
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    until(lambda: channel.connect_ex(path) == 0)
    front = listener(world, 7005)
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    idle = socket.socket()
    send(channel, b"A")
    send(channel, b"A", datagram.fileno())
    send(channel, b"A", front.fileno())
    send(channel, b"A", idle.fileno())
    send(channel, b"AA", idle.fileno())
    for extra in (), (datagram.fileno(), datagram.fileno()):
        with dial(world, 7005) as client:
            accepted, peer = front.accept()
            send(channel, b"A", accepted.fileno(), *extra)
            accepted.close()
            client.sendall(b"x\n")
            line = json.load(client.makefile("rb"))["line"]
            assert line == f"PROXY TCP4 127.0.0.1 127.0.0.1 {peer[1]} 7005\r\n"
    log = relay.log()
    assert "a message without a descriptor" in log
    assert log.count("a message whose descriptor is not a stream connection") == 2
    assert "a message whose socket is not connected" in log
    assert "a message that is not of one byte" in log
    before = relay.descriptors()
    assert before < 24
    second = world.start([paths.CLI, "relay", "--receive", path, BACKEND], "second", netns=world.host)
    assert second.wait() == 1
    assert f"another program receives at {path}" in second.log()
    relay.process.stop()
    relay = Relay(world, "--receive", path, BACKEND, name="third", ready=False)  # replaces what is left
    until(lambda: channel.connect_ex(path) == 0)


def test_inherited_listener(world):
    Named(world, "backend", 7001)
    front = listener(world, 7005)
    script = f"exec {paths.CLI} relay --fd 9 {BACKEND} 9<&{front.fileno()}"
    process = subprocess.Popen(["nsenter", f"--net=/run/netns/{world.host}", "bash", "-c", script],
                               pass_fds=[front.fileno()])
    try:
        assert ask(world, 7005)["name"] == "backend"
    finally:
        process.kill()
        process.wait()


def test_soft_stop(world):
    backend = listener(world, 7001)
    relay = Relay(world, *LISTEN, BACKEND)
    client = dial(world)
    accepted, _ = backend.accept()
    relay.process.send(signal.SIGUSR2)
    until(lambda: not relay.listens())
    with pytest.raises(ConnectionRefusedError):
        dial(world)
    client.sendall(b"still")
    assert accepted.recv(5) == b"still"
    assert relay.process.running()
    client.close()
    accepted.close()
    assert relay.process.wait() == 0


def test_nat64_reaches_what_the_address_names(world):
    """Clients of an IPv6 prefix reach IPv4 servers of the client's machine; never the relay's own."""
    _ip_in(world.host, "-6", "route", "add", "local", "2001:db8:64::/96", "dev", "lo")
    Named(world, "far", 7000, CLIENT_V4, namespace=world.client)
    Named(world, "own", 7001, V4)
    relay = Relay(world, "--listen", "[::]:7000", "-N", "2001:db8:64::/96")

    def through(v4, port=7000):
        return ask(world, port, f"2001:db8:64::{v4}", namespace=world.client)

    assert through(CLIENT_V4) == {"name": "far", "peer": V4, "line": "hello\n"}
    for address, reason in ((V4, "is this machine's own address"), ("198.51.100.9", "is this machine's own address"),
                            ("127.0.0.1", "which a client must not choose"), ("224.0.0.1", "224.0.0.1, which a client"),
                            ("0.0.0.0", "0.0.0.0, which a client"), ("169.254.169.254", "169.254.169.254, which a")):
        with pytest.raises((ConnectionResetError, json.JSONDecodeError)):
            through(address)
        until(lambda reason=reason: reason in relay.log())
    assert relay.report()["refused"] == 6
    Relay(world, "--listen", "[::]:7002", "nat64:[2001:db8:64::/96]:7001", "--nat64-allow", V4, name="allowed", port=7002)
    assert through(V4, 7002)["name"] == "own"


def test_backend_sees_the_client_as_source(world):
    """The relay's machine stands between: answers to the client's address come back to it as local traffic."""
    _ip_in(world.host, "-6", "route", "add", "local", "2001:db8:64::/96", "dev", "lo")
    Named(world, "v6", 7001, V6)
    Relay(world, "--listen", "0.0.0.0:7000", "--source", "2001:db8:64::/96", f"[{V6}]:7001")
    mapped = "2001:db8:64::" + "{:x}{:02x}:{:x}{:02x}".format(*map(int, CLIENT_V4.split(".")))
    assert ask(world, 7000, V4, namespace=world.client)["peer"] == mapped
    relay = Relay(world, "--listen", "[::]:7002", "--source", "client", "127.0.0.1:7003", port=7002,
                  name="client")
    Named(world, "v4", 7003)
    with pytest.raises((ConnectionResetError, json.JSONDecodeError)):
        ask(world, 7002, V6, namespace=world.client)
    assert f"an IPv4 backend cannot see the client {CLIENT_V6} as its source" in relay.log()


HEADER = b"PROXY TCP6 2001:db8::7 2001:db8::8 77 88\r\n"


def through_proxy(world, *pieces):
    """What the backend gets first, if the client sends these."""
    with dial(world) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.01)
        return json.load(client.makefile("rb"))["line"]


def test_accepted_proxy_header(world):
    """It is taken off, in whatever pieces it comes, and no byte more."""
    Named(world, "backend", 7001)
    relay = Relay(world, *LISTEN, "--accept-proxy", "127.0.0.0/8", "--accept-proxy-timeout", "3s",
                  "--proxy-protocol", "v1", BACKEND)
    with dial(world) as client:
        client.sendall(HEADER + b"hello\n")
        assert json.load(client.makefile("rb"))["line"].encode() == HEADER
    pieces = [HEADER[i:i + 1] for i in range(len(HEADER))]
    assert through_proxy(world, *pieces, b"hello\n").encode() == HEADER
    assert through_proxy(world, b"PROXY UNKNOWN\r\nhello\n").startswith("PROXY TCP4 127.0.0.1 127.0.0.1 ")
    for wrong, reason in ((b"GET / HTTP/1.0\r\n\r\n", "no PROXY header: it begins with 0x47"),
                          (b"PROXY TCP4 x\r\n", "without two addresses"),
                          (b"PROXY TCP4 192.0", "did not come to its end in time"), (b"", "no PROXY header came in time")):
        with pytest.raises((ConnectionResetError, BrokenPipeError, json.JSONDecodeError)):
            through_proxy(world, wrong)
        until(lambda reason=reason: reason in relay.log())
    assert relay.report()["taken"] == 3


@pytest.mark.parametrize("others", ["refuse", "plain"])
def test_proxy_header_from_elsewhere_is_not_believed(world, others):
    Named(world, "backend", 7001)
    relay = Relay(world, *LISTEN, "--accept-proxy", "192.0.2.0/24", "--accept-proxy-others", others, BACKEND)
    if others == "plain":
        assert through_proxy(world, HEADER).encode() == HEADER  # these are the client's own bytes
    else:
        with pytest.raises((ConnectionResetError, BrokenPipeError, json.JSONDecodeError)):
            through_proxy(world, HEADER)
        until(lambda: "refused 127.0.0.1:" in relay.log())


@pytest.mark.parametrize("words,diagnostic", [
    ([], "a relay needs a backend"),
    (["nowhere"], "'nowhere' is not a backend"),
    (["-N", "192.0.2.0/24"], "cannot hold IPv4 addresses"),
    (["-N", "64:ff9b::/96", "192.0.2.1:80"], "must stand alone"),
    (["--idle-timeout", "5", "192.0.2.1:80"], "'5' is not a duration"),
    (["--proxy-protocol", "v3", "192.0.2.1:80"], "'v3' is not a version"),
    (["--listen", "here", "192.0.2.1:80"], "'here' is no place to listen at"),
])
def test_misuse(world, words, diagnostic):
    result = world.run([paths.CLI, "relay", *LISTEN, *words], check=False)
    assert result.returncode in (1, 2)
    assert diagnostic in result.stderr


def test_link(world):
    link = world.directory / "socketbox-relay"
    link.symlink_to(paths.CLI)
    result = world.run([link], check=False)
    assert result.returncode == 2
    assert "socketbox relay: one of --listen" in result.stderr
