# SPDX-License-Identifier: BSD-2-Clause
"""The confinement: what a hostile service (programs/escape.c) can do with the sockets it is given, with the confinement and, to
show that the attempts would succeed, without it."""
import array
import contextlib
import ctypes
import errno
import os
import signal
import socket
import threading

import pytest

from support import paths
from support.launch import NOBODY, OWN_ROOT, open_to_all, program
from support.process import until
from support.traffic import connect, family_of, host_server, in_namespace
from support.world import CLIENT_V4, V4, V6

CONFIG = {"services": {"a": {"allow": {"user": 65534}, "hold": 0}},
          "routes": [{"to": [V4, V6], "port": 8080, "service": "a"},
                     {"to": [V4, V6], "port": 8080, "protocol": "udp", "service": "a"}]}
_libc = ctypes.CDLL(None, use_errno=True)
SECRET = 9999  # a server of the host's own
ACCEPTED = 14  # attempts

USERS = {"root": (), "user": (*OWN_ROOT, *NOBODY)}

# The address that clients use, and the family of the service's sockets.
each_family = pytest.mark.parametrize("address, family", [(V4, "4"), (V6, "6"), (V4, "6")], ids=["ipv4", "ipv6", "mapped"])

# What an accepted connection, or a listener, is not good for.
CONFINED = dict.fromkeys(["connect", "bind", "shutdown-connect", "fast-open", "fast-open-connect", "uring-connect",
                        "uring-bind", "transparent-bind"], "EPERM")

# Only a connection of an IPv6 socket's to an IPv4 client can become an IPv4 one.
CHANGES_FAMILY = {(V4, "4"): "EAFNOSUPPORT", (V6, "6"): "EADDRNOTAVAIL", (V4, "6"): "EPERM"}


class Outside:
    """A process in no namespace of the service's, to which it passes a socket: tries to connect with it."""

    def __init__(self, directory, address):
        self.path, self.address, self.result = directory / "outside", address, None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(1)
        self.listener.settimeout(30)
        os.chmod(self.path, 0o666)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        channel, _ = self.listener.accept()
        with channel:
            _, data, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(4))
            with socket.socket(fileno=array.array("i", data[0][2])[0]) as given:
                self.result = self._use(given)

    def _use(self, given):
        try:
            given.settimeout(3)
            _libc.connect(given.fileno(), bytes(16), 16)  # AF_UNSPEC: disconnects
            if given.type == socket.SOCK_STREAM and given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                given.shutdown(socket.SHUT_RDWR)
            target = self.address if given.family == socket.AF_INET or ":" in self.address else f"::ffff:{self.address}"
            given.connect((target, SECRET))
            return "ok"
        except OSError as error:
            return errno.errorcode.get(error.errno, "timeout")


class Escape:
    """The program, under `socketbox run --isolate`, and what it says."""

    def __init__(self, world, daemon, kind, address, family, user=(), pass_to=None):
        self.world, self.kind, self.address = world, kind, address
        words = ["nsenter", f"--net=/run/netns/{world.host}", *user, paths.CLI, "run", "a", "--control", daemon.control,
                 "--isolate", "--", program("escape"), kind, family, address, SECRET, *([pass_to] if pass_to else [])]
        self.process = world.start(words, f"escape-{kind}")
        self.results, self.reached = {}, None
        self.clients = []

    def run(self):
        seen = 0
        while "done" not in self.results:
            lines = until(lambda: self._lines()[seen:] or not self.process.running(), what="the program goes on")
            assert lines is not True, f"it ended: {self.process.log()}"
            for line in lines:
                self._take(*line.partition(" ")[::2])
            seen += len(lines)
        for client in self.clients:
            client.close()
        del self.results["done"]
        return self.results

    def _lines(self):
        """What it has said, without a line that is not complete yet."""
        return self.process.log().split("\n")[:-1]

    def _take(self, name, result):
        if name == "ready":
            self._serve()
        elif name == "listens":
            self.reached = self._reaches(int(result))
            self.process.send(signal.SIGUSR1)
        else:
            self.results[name] = result

    def _serve(self):
        """Clients, as many as the program uses up."""
        if self.kind == "accepted":
            for _ in range(ACCEPTED):
                with contextlib.suppress(ConnectionResetError):  # the program was quick to disconnect it
                    self.clients.append(connect(self.world, self.address, 8080))
        elif self.kind == "udp":
            client = connect(self.world, self.address, 8080, kind=socket.SOCK_DGRAM)
            client.send(b"hello")
            self.clients = [client]

    def _reaches(self, port):
        """Whether the port that the program opened can be reached: from the client, and from the host itself."""
        def reach(namespace):
            made = in_namespace(namespace, lambda: socket.socket(family_of(self.address)))
            with made:
                made.settimeout(1)
                return made.connect_ex((self.address, port)) == 0
        return reach(self.world.client) or reach(self.world.host)


def kept_in(world, address):
    """A server that no service should reach, by both protocols."""
    return [host_server(world, address, SECRET, "secret", kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]


@pytest.mark.parametrize("user", USERS)
@each_family
def test_an_accepted_connection_is_good_for_nothing_else(world, daemon, address, family, user):
    secret, _ = kept_in(world, address)
    d = daemon(CONFIG, options=["--confinement", "required"])
    open_to_all(d)
    outside = Outside(world.directory, address)
    escape = Escape(world, d, "accepted", address, family, USERS[user], outside.path)
    results = escape.run()
    for name, result in CONFINED.items():
        assert results[name] == result, (name, results)
    assert results["change-family"] == CHANGES_FAMILY[address, family], results
    assert results["other-interface"] == "EPERM", results
    assert results["take-namespace"] == "EPERM"
    assert (escape.reached, results["listen"]) == (False, "EAGAIN")
    assert results["see-interfaces"] == "ok"  # the leak that SECURITY.md names
    assert outside.result == "EPERM"
    assert secret.count == 0


@pytest.mark.parametrize("user", USERS)
@each_family
def test_a_listener_is_good_for_nothing_else(world, daemon, address, family, user):
    secret, _ = kept_in(world, address)
    d = daemon(CONFIG, options=["--confinement", "required"])
    open_to_all(d)
    outside = Outside(world.directory, address)
    results = Escape(world, d, "listener", address, family, USERS[user], outside.path).run()
    for name in ("bind", "shutdown-connect", "shutdown-bind", "fast-open", "uring-connect", "transparent-bind"):
        assert results[name] == "EPERM", (name, results)
    assert results["connect"] == "EISCONN"
    assert results["shutdown-listen"] in ("ok", "EADDRINUSE")  # where it was before, unless its successor is there already
    assert outside.result == "EPERM"
    assert secret.count == 0


@pytest.mark.parametrize("user", USERS)
@each_family
def test_a_udp_socket_answers_and_does_nothing_else(world, daemon, address, family, user):
    _, secret = kept_in(world, address)
    d = daemon(CONFIG, options=["--confinement", "required"])
    open_to_all(d)
    outside = Outside(world.directory, address)
    escape = Escape(world, d, "udp", address, family, USERS[user], outside.path)
    results = escape.run()
    assert results["answer"] == "ok"
    for name in ("send", "sendmsg", "sendmmsg", "uring-send", "send-loopback", "connect", "disconnect-connect",
                 "uring-connect", "bind", "transparent-bind"):
        assert results[name] == "EPERM", (name, results)
    assert results["change-family"] == CHANGES_FAMILY[address, family], results
    assert outside.result == "EPERM"
    assert secret.count == 0


@pytest.mark.parametrize("address, family", [(V6, "6"), (V4, "6")], ids=["ipv6", "mapped"])
def test_without_the_confinement_the_attempts_succeed(world, daemon, address, family):
    secret, _ = kept_in(world, address)
    d = daemon(CONFIG, options=["--confinement", "off"])
    outside = Outside(world.directory, address)
    escape = Escape(world, d, "accepted", address, family, pass_to=outside.path)
    results = escape.run()
    changes = ["change-family"] if address == V4 else []
    for name in [*CONFINED, *changes]:
        assert results[name] == "ok", (name, results)
    assert escape.reached and results["listen"] == "ok"
    assert outside.result == "ok"
    until(lambda: secret.count >= 4)
    udp = Escape(world, d, "udp", address, family).run()
    for name in ["send", "sendmsg", "sendmmsg", "uring-send", "connect", "uring-connect", *changes]:
        assert udp[name] == "ok", (name, udp)
