# SPDX-License-Identifier: BSD-2-Clause
"""Routes by TLS server name: the daemon looks at the ClientHello, and the receiver gets all of it."""
import contextlib
import hashlib
import socket
import ssl
import subprocess
import threading
import resource
import time

import pytest

from support.process import until
from support.tls import hello_of
from support.traffic import SILENT, ask, connect
from support.world import V4, V6

pytestmark = pytest.mark.both_engines


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A certificate for each receiver, which is how clients tell them apart."""
    directory = tmp_path_factory.mktemp("certificates")
    for name in "one", "many", "rest":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", f"/CN={name}", "-days", "2", "-keyout", directory / f"{name}.key",
                        "-out", directory / f"{name}.crt"], check=True, capture_output=True)
    return directory


class TlsReceiver:
    """Takes handed connections, makes TLS with them if the client does, and says which one it is."""

    def __init__(self, path, certificates, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
        self.name = name
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 16, 4)
            assert len(data) == 1 and len(fds) == 1
            threading.Thread(target=self._serve, args=(socket.socket(fileno=fds[0]),), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if connection.recv(1, socket.MSG_PEEK) == b"\x16":
                connection = self.context.wrap_socket(connection, server_side=True)
            connection.recv(4096)
            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{self.name}".encode())
            connection.close()


class PlainReceiver:
    """Takes a handed connection, reads up to END, and says which receiver it is and what it read. It peeks first, as
    a service may: the daemon has to leave the socket as new."""

    END = b"the end of what the client sends"

    def __init__(self, path, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.name = name
        threading.Thread(target=self._receive, daemon=True).start()

    @classmethod
    def answer(cls, name, sent):
        return f"{name} {hashlib.sha256(sent + cls.END).hexdigest()}"

    def _receive(self):
        while True:
            _, fds, _, _ = socket.recv_fds(self.socket, 16, 4)
            threading.Thread(target=self._serve, args=(socket.socket(fileno=fds[0]),), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            read = b""
            while not read.endswith(self.END):
                peeked = connection.recv(65536, socket.MSG_PEEK)
                peeked_again = connection.recv(len(peeked), socket.MSG_PEEK)
                assert peeked and peeked_again == peeked
                read += connection.recv(len(peeked))
            connection.sendall(f"{self.name} {hashlib.sha256(read).hexdigest()}".encode())


@pytest.fixture
def served(daemon, tmp_path, certificates):
    for name in "one", "many", "rest":
        TlsReceiver(tmp_path / f"{name}.sock", certificates, name)
    for name in "plain-one", "plain-rest":
        PlainReceiver(tmp_path / f"{name}.sock", name)
    services = {name: {"handoff": {"path": str(tmp_path / f"{name}.sock")}}
                for name in ("one", "many", "rest", "plain-one", "plain-rest")}
    return daemon({"services": services, "routes": [
        {"to": [V4, V6], "port": 443, "sni": "one.example", "service": "one"},
        {"to": V6, "port": 443, "sni": ["*.many.example", "many.example"], "service": "many"},
        {"to": [V4, V6], "port": 443, "sni": "closed.example", "refuse": True},
        {"to": [V4, V6], "port": 443, "service": "rest"},
        {"to": [V4, V6], "port": 444, "sni": "one.example", "service": "one"},
        {"to": [V4, V6], "port": 445, "sni": "one.example", "service": "plain-one"},
        {"to": [V4, V6], "port": 445, "service": "plain-rest"},
    ]})


def subject(world, address, *options, port=443):
    """The common name of the certificate that s_client is shown; None if it gets none."""
    host = f"[{address}]" if ":" in address else address
    text = world.run(["openssl", "s_client", "-connect", f"{host}:{port}", *options], check=False).stdout
    return text.split("subject=CN = ")[1].split("\n")[0] if "subject=CN = " in text else None


@pytest.mark.parametrize("address,options,expected", [
    (V6, ("-servername", "one.example"), "one"),
    (V4, ("-servername", "one.example"), "one"),
    (V6, ("-servername", "ONE.example"), "one"),
    (V6, ("-servername", "one.example", "-tls1_2"), "one"),
    (V6, ("-servername", "a.b.many.example"), "many"),
    (V6, ("-servername", "many.example"), "many"),
    (V4, ("-servername", "many.example"), "rest"),
    (V6, ("-servername", "other.example"), "rest"),
    (V6, ("-noservername",), "rest"),
    (V6, ("-servername", "closed.example"), None),
])
def test_the_name_decides(world, served, address, options, expected):
    assert subject(world, address, *options) == expected


def test_what_is_no_tls_goes_to_the_next_route(world, served):
    assert ask(world, V6, 443) == "rest"
    with connect(world, V6, 444, timeout=10) as connection, pytest.raises(ConnectionResetError):
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(1)


def finish_handshake(connection, tls, incoming, outgoing):
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(connection.recv(65536))
    connection.sendall(outgoing.read())
    tls.write(b"GET / HTTP/1.0\r\n\r\n")
    connection.sendall(outgoing.read())
    while True:
        try:
            return tls.read(4096).decode().split("\r\n\r\n")[1]
        except ssl.SSLWantReadError:
            incoming.write(connection.recv(65536))


def send_slowly(connection, data, pause):
    """A byte per segment."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        connection.send(bytes([byte]))
        time.sleep(pause)


def test_a_hello_byte_by_byte(world, served):
    tls, incoming, outgoing, hello = hello_of("one.example")
    with connect(world, V6, 443, timeout=10) as connection:
        send_slowly(connection, hello, 0.001)
        assert finish_handshake(connection, tls, incoming, outgoing) == "one"


def test_a_hello_of_sixteen_kibibytes(world, served):
    protocols = [f"protocol-{number:04}-{'x' * 80}" for number in range(175)]
    tls, incoming, outgoing, hello = hello_of("one.example", alpn=protocols)
    assert len(hello) > 16000
    with connect(world, V6, 443, timeout=10) as connection:
        connection.sendall(hello)
        assert finish_handshake(connection, tls, incoming, outgoing) == "one"


def hello_with_name_last(size, record=16384):
    """A ClientHello of that many bytes, in records of `record`, in which the name is the last extension: OpenSSL puts
    it first, so that a long hello of its is decided by the first bytes."""
    name = b"one.example"
    names = b"\0" + len(name).to_bytes(2, "big") + name
    names = b"\0\0" + (len(names) + 2).to_bytes(2, "big") + len(names).to_bytes(2, "big") + names
    start = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    padding = size - 4 - len(start) - 2 - 4 - len(names)
    extensions = b"\0\x15" + padding.to_bytes(2, "big") + bytes(padding) + names
    body = start + len(extensions).to_bytes(2, "big") + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    assert len(message) == size
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                    for part in (message[at:at + record] for at in range(0, size, record)))


def answer_to(connection, hello, pause=None):
    if pause is None:
        connection.sendall(hello)
    else:
        send_slowly(connection, hello, pause)
    connection.sendall(PlainReceiver.END)
    return connection.recv(4096).decode()


@pytest.mark.parametrize("size,record,pause", [
    (2048, 16384, 0.001),
    (2048, 1, 0.0001),
    (16384, 16384, 0.0004),  # takes longer than a client may be silent
    (16384, 200, 0.0001),
    (32000, 16384, 0.0001),
])
def test_a_long_hello_byte_by_byte(world, served, size, record, pause):
    hello = hello_with_name_last(size, record)
    with connect(world, V6, 445, timeout=10) as connection:
        assert answer_to(connection, hello, pause) == PlainReceiver.answer("plain-one", hello)


@pytest.mark.parametrize("size,record", [(16384, 16384), (32768, 16384), (32768, 100), (6000, 1)])
def test_a_long_hello_at_once(world, served, size, record):
    hello = hello_with_name_last(size, record)
    with connect(world, V6, 445, timeout=10) as connection:
        assert answer_to(connection, hello) == PlainReceiver.answer("plain-one", hello)


@pytest.mark.parametrize("pause", [None, 0.0001], ids=["at-once", "slowly"])
@pytest.mark.parametrize("memory", ["4096 4096 4096", "4096 8192 16384"])
def test_a_hello_that_is_longer_than_the_receive_buffer(world, served, memory, pause):
    """The kernel says readable before the bytes that are waited for, and closes the window before the last."""
    world.run(["sysctl", "-q", "-w", f"net.ipv4.tcp_rmem={memory}"], netns=world.host)
    hello = hello_with_name_last(16384)
    with connect(world, V6, 445, timeout=30) as connection:
        assert answer_to(connection, hello, pause) == PlainReceiver.answer("plain-one", hello)


@pytest.mark.parametrize("length", [1, 5, 9, 100, 3000, -1])
def test_a_hello_that_ends_in_the_middle_has_no_name(world, served, length):
    """That is known at once. Port 444 refuses what has no name."""
    with connect(world, V6, 444, timeout=10) as connection:
        connection.sendall(hello_with_name_last(4096)[:length])
        until(lambda: served.status()["peeking"] == 1, what="the daemon waits")
        started = time.monotonic()
        connection.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert time.monotonic() - started < 1


def test_clients_that_stop_are_not_waited_for_long(world, served):
    """Five seconds where nothing comes, and not more than twice that after the last byte."""
    with connect(world, V6, 444, timeout=20) as stopped, connect(world, V6, 444, timeout=20) as silent:
        started = time.monotonic()
        stopped.sendall(hello_with_name_last(4096)[:3000])
        with pytest.raises(ConnectionResetError):
            silent.recv(1)
        assert 4 < time.monotonic() - started < 7
        with pytest.raises(ConnectionResetError):
            stopped.recv(1)
        assert 4 < time.monotonic() - started < 12


def test_clients_that_say_nothing_cost_the_others_nothing(world, served):
    """After a while they go where a connection without a name goes."""
    silent = [connect(world, V6, 443, timeout=20) for _ in range(200)]
    started = time.monotonic()
    assert subject(world, V6, "-servername", "one.example") == "one"
    assert time.monotonic() - started < 3
    assert served.status()["peeking"] == 200
    for connection in silent[:5]:
        connection.send(b"\x16\x03")
    until(lambda: served.status()["peeking"] == 0, what="nobody is waited for")
    last = silent[-1]
    last.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert last.recv(4096).endswith(b"rest")
    for connection in silent:
        connection.close()


def test_a_flood_of_silent_clients_of_one_source(world, served):
    """More than may wait at a time, from one address: everybody else is served, and the flood pays for itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    silent = []
    try:
        for number in range(8400):
            silent.append(connect(world, V4, 443, timeout=20))
            if number % 1400 == 0:
                assert subject(world, V6, "-servername", "one.example") == "one"
        for name in "one", "other", "one":
            assert subject(world, V6, "-servername", f"{name}.example") == name.replace("other", "rest")
        status = served.status()
        assert status["peeking"] <= 1024
        assert status["peeking_displaced"] >= 8400 - 1024
    finally:
        for connection in silent:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_names_are_counted_by_the_route_that_took_them(world, served):
    for name in "one.example", "other.example", "other.example":
        subject(world, V6, "-servername", name)
    counts = {route["text"].split("service: ")[-1].rstrip("}"): route["lookups"]
              for route in served.status()["routes"] if "443" in route["text"] and "service" in route["text"]}
    assert counts == {"one": 1, "many": 0, "rest": 2}


def test_a_client_that_goes_away_meanwhile(world, served):
    for _ in range(50):
        with connect(world, V6, 443) as connection:
            connection.send(b"\x16\x03\x01")
    until(lambda: served.status()["peeking"] == 0, what="nobody is waited for")
    assert ask(world, V6, 443) not in (SILENT,)
