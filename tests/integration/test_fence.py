# SPDX-License-Identifier: BSD-2-Clause
"""The fence: what a hostile service (programs/escape.c) can do with the sockets it is given, with the fence and, to
show that the attempts would succeed, without it."""
import array
import ctypes
import errno
import os
import socket
import subprocess
import threading

import pytest

from support import paths
from support.launch import NOBODY, open_to_all, program
from support.process import until
from support.traffic import connect, host_server, in_namespace
from support.world import CLIENT_V4, V4, V6

CONFIG = {"services": {"a": {"allow": {"user": 65534}, "hold": 0}},
          "routes": [{"to": [V4, V6], "port": 8080, "service": "a"},
                     {"to": [V4, V6], "port": 8080, "protocol": "udp", "service": "a"}]}
_libc = ctypes.CDLL(None, use_errno=True)
SECRET = 9999  # a server of the host's own
ACCEPTED = 14  # attempts

USERS = {"root": (), "user": NOBODY}

# What an accepted connection, or a listener, is not good for.
FENCED = dict.fromkeys(["connect", "bind", "shutdown-connect", "fast-open", "fast-open-connect", "uring-connect",
                        "uring-bind", "transparent-bind"], "EPERM")


class Outside:
    """A process in no namespace of the service's, to which it passes a socket: tries to connect with it."""

    def __init__(self, folder, address):
        self.path, self.address, self.result = folder / "outside", address, None
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

    def __init__(self, world, daemon, kind, address, user=(), pass_to=None):
        self.world, self.kind, self.address = world, kind, address
        self.family = "6" if ":" in address else "4"
        words = ["nsenter", f"--net=/run/netns/{world.host}", *user, paths.CLI, "run", "a", "--control", daemon.control,
                 "--isolate", "--", program("escape"), kind, self.family, address, SECRET, *([pass_to] if pass_to else [])]
        self.popen = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        self.results, self.reached = {}, None
        self.clients = []

    def run(self):
        try:
            self._read()
        finally:
            self.popen.kill()
            _, errors = self.popen.communicate()
            for client in self.clients:
                client.close()
        assert "done" in self.results, errors
        del self.results["done"]
        return self.results

    def _read(self):
        for line in self.popen.stdout:
            name, _, result = line.strip().partition(" ")
            if name == "ready":
                self._serve()
            elif name == "listens":
                self.reached = self._reaches(int(result))
                self.popen.stdin.write("go\n")
                self.popen.stdin.flush()
            else:
                self.results[name] = result

    def _serve(self):
        """Clients, as many as the program uses up."""
        if self.kind == "accepted":
            self.clients = [connect(self.world, self.address, 8080) for _ in range(ACCEPTED)]
        elif self.kind == "udp":
            client = connect(self.world, self.address, 8080, kind=socket.SOCK_DGRAM)
            client.send(b"hello")
            self.clients = [client]

    def _reaches(self, port):
        """Whether the port that the program opened can be reached: from the client, and from the host itself."""
        def reach(namespace):
            made = in_namespace(namespace, lambda: socket.socket(
                socket.AF_INET6 if self.family == "6" else socket.AF_INET))
            with made:
                made.settimeout(1)
                return made.connect_ex((self.address, port)) == 0
        return reach(self.world.client) or reach(self.world.host)


def kept_in(world, address):
    """A server that no service should reach, by both protocols."""
    return [host_server(world, address, SECRET, "secret", kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("address", [V4, V6], ids=["ipv4", "ipv6"])
def test_an_accepted_connection_is_good_for_nothing_else(world, daemon, address, user):
    secret, _ = kept_in(world, address)
    d = daemon(CONFIG, options=["--fence", "required"])
    open_to_all(d)
    outside = Outside(world.folder, address)
    escape = Escape(world, d, "accepted", address, USERS[user], outside.path)
    results = escape.run()
    for name, result in FENCED.items():
        assert results[name] == result, (name, results)
    assert results["change-family"] in ("EAFNOSUPPORT", "EADDRNOTAVAIL", "EPERM"), results
    assert results["other-interface"] == "EPERM", results
    assert results["take-namespace"] == "EPERM"
    assert (escape.reached, results["listen"]) == (False, "EAGAIN")
    assert results["see-interfaces"] == "ok"  # the leak that SECURITY.md names
    assert outside.result == "EPERM"
    assert secret.count == 0


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("address", [V4, V6], ids=["ipv4", "ipv6"])
def test_a_listener_is_good_for_nothing_else(world, daemon, address, user):
    secret, _ = kept_in(world, address)
    d = daemon(CONFIG, options=["--fence", "required"])
    open_to_all(d)
    outside = Outside(world.folder, address)
    results = Escape(world, d, "listener", address, USERS[user], outside.path).run()
    for name in ("bind", "shutdown-connect", "shutdown-bind", "fast-open", "uring-connect", "transparent-bind"):
        assert results[name] == "EPERM", (name, results)
    assert results["connect"] == "EISCONN"
    assert results["shutdown-listen"] == "ok"  # where it was before
    assert outside.result == "EPERM"
    assert secret.count == 0


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("address", [V4, V6], ids=["ipv4", "ipv6"])
def test_a_udp_socket_answers_and_does_nothing_else(world, daemon, address, user):
    kept_in(world, address)
    d = daemon(CONFIG, options=["--fence", "required"])
    open_to_all(d)
    outside = Outside(world.folder, address)
    escape = Escape(world, d, "udp", address, USERS[user], outside.path)
    results = escape.run()
    assert results["answer"] == "ok"
    for name in ("send", "sendmsg", "sendmmsg", "uring-send", "send-loopback", "connect", "disconnect-connect",
                 "uring-connect", "bind", "transparent-bind"):
        assert results[name] == "EPERM", (name, results)
    assert outside.result == "EPERM"


def test_without_the_fence_the_attempts_succeed(world, daemon):
    secret, _ = kept_in(world, V6)
    d = daemon(CONFIG, options=["--fence", "off"])
    outside = Outside(world.folder, V6)
    escape = Escape(world, d, "accepted", V6, pass_to=outside.path)
    results = escape.run()
    for name in FENCED:
        assert results[name] == "ok", (name, results)
    assert escape.reached and results["listen"] == "ok"
    assert outside.result == "ok"
    until(lambda: secret.count >= 4)
    udp = Escape(world, d, "udp", V6).run()
    assert {udp[name] for name in ("send", "sendmsg", "sendmmsg", "uring-send", "connect", "uring-connect")} == {"ok"}
