# SPDX-License-Identifier: BSD-2-Clause
"""Routes by TLS server name: the daemon looks at the ClientHello, and the receiver gets all of it."""
import contextlib
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


@pytest.fixture
def served(daemon, tmp_path, certificates):
    for name in "one", "many", "rest":
        TlsReceiver(tmp_path / f"{name}.sock", certificates, name)
    services = {name: {"handoff": {"path": str(tmp_path / f"{name}.sock")}} for name in ("one", "many", "rest")}
    return daemon({"services": services, "routes": [
        {"to": [V4, V6], "port": 443, "sni": "one.example", "service": "one"},
        {"to": V6, "port": 443, "sni": ["*.many.example", "many.example"], "service": "many"},
        {"to": [V4, V6], "port": 443, "sni": "closed.example", "refuse": True},
        {"to": [V4, V6], "port": 443, "service": "rest"},
        {"to": [V4, V6], "port": 444, "sni": "one.example", "service": "one"},
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


def test_a_hello_byte_by_byte(world, served):
    tls, incoming, outgoing, hello = hello_of("one.example")
    with connect(world, V6, 443, timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in hello:
            connection.send(bytes([byte]))
            time.sleep(0.001)
        assert finish_handshake(connection, tls, incoming, outgoing) == "one"


def test_a_hello_of_sixteen_kibibytes(world, served):
    protocols = [f"protocol-{number:04}-{'x' * 80}" for number in range(175)]
    tls, incoming, outgoing, hello = hello_of("one.example", alpn=protocols)
    assert len(hello) > 16000
    with connect(world, V6, 443, timeout=10) as connection:
        connection.sendall(hello)
        assert finish_handshake(connection, tls, incoming, outgoing) == "one"


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
