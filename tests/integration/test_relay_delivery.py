# SPDX-License-Identifier: BSD-2-Clause
"""The delivery `relay`: the daemon accepts and forwards, with the addresses of the connection."""
import json
import socket
import time

import pytest

from support import paths
from support.fdstore import StoredDaemon
from support.load import Load, lost
from support.process import until
from support.relay import Named, ask, check_streams, dial, listener
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

pytestmark = pytest.mark.both_engines


def config(to, **more):
    return {"services": {"legacy": {"relay": {"to": to, **more}}},
            "routes": [{"to": [V4, V6], "port": 80, "service": "legacy"}]}


def relay(daemon):
    return next(s for s in daemon.status()["services"] if s["name"] == "legacy")["relay"]


def test_backend_is_told_the_addresses(world, daemon):
    Named(world, "backend", 7001)
    d = daemon(config("127.0.0.1:7001", **{"proxy-protocol": "v1"}))
    for client, server, kind in ((CLIENT_V4, V4, "TCP4"), (CLIENT_V6, V6, "TCP6")):
        line = ask(world, 80, server, namespace=world.client)["line"]
        assert line.startswith(f"PROXY {kind} {client} {server} ") and line.endswith(" 80\r\n")
    until(lambda: relay(d)["established"] == 0)
    assert relay(d)["backends"] == [{"backend": "127.0.0.1:7001", "connections": 2, "failures": 0, "skipped_ms": 0}]


def test_reload_moves_new_connections_only(world, daemon):
    old = listener(world, 7001)
    d = daemon(config("127.0.0.1:7001"))
    with dial(world, 80, V6, namespace=world.client) as client:
        accepted, _ = old.accept()
        Named(world, "new", 7002)
        d.reload(config(["127.0.0.1:7002", "127.0.0.1:7003"]))
        assert {ask(world, 80, V6, namespace=world.client)["name"] for _ in range(4)} == {"new"}
        client.sendall(b"still here")
        assert accepted.recv(100) == b"still here"
        assert relay(d)["established"] == 1
        accepted.close()


def test_connections_of_a_service_that_goes_stay(world, daemon):
    backend = listener(world, 7001)
    started = daemon(config("127.0.0.1:7001"))
    with dial(world, 80, V6, namespace=world.client) as client:
        accepted, _ = backend.accept()
        accepted.settimeout(10)
        started.reload({"services": {}, "routes": []})
        client.sendall(b"still here")
        assert accepted.recv(100) == b"still here"
        started.reload(config("127.0.0.1:7001"))
        accepted.close()
        assert client.recv(1) == b""


def restart(daemon):
    assert daemon.process.stop(timeout=60) == 0
    daemon.start()


@pytest.mark.parametrize("change", [lambda daemon: daemon.upgrade(), restart], ids=["upgrade", "store"])
def test_no_byte_is_lost_over_changes_of_the_daemon(world, engine, change):
    """Random data both ways, with half-closes and resets."""
    count = 1000
    started = StoredDaemon(world, config("127.0.0.1:7001"), options=["--engine", engine])
    streams = world.start([paths.STREAMS, V4, 80, "127.0.0.1", 7001, count, 80], "streams", netns=world.host)
    changes = 0
    while streams.running():
        change(started)
        changes += 1
    assert changes >= 3
    check_streams(json.loads(streams.log()), count)
    until(lambda: relay(started)["established"] == 0)
    assert not started.store.names("relay.")


def test_what_waits_in_a_relay_outlives_the_daemon(world, engine):
    """The backend does not read until the daemon is another one; the client has sent its end by then."""
    backend = listener(world, 7001)
    started = StoredDaemon(world, config("127.0.0.1:7001"), options=["--engine", engine])
    with dial(world, 80, V6, namespace=world.client) as client:
        accepted, _ = backend.accept()
        client.setblocking(False)
        sent = bytearray()
        until(lambda: not send_more(client, sent), what="nobody takes any more")
        client.setblocking(True)
        client.settimeout(20)
        for change in (started.upgrade, lambda: restart(started), started.upgrade):
            change()
        client.shutdown(socket.SHUT_WR)
        accepted.settimeout(20)
        assert accepted.makefile("rb").read() == sent
        accepted.sendall(b"all of it")
        accepted.close()
        assert client.makefile("rb").read() == b"all of it"


def send_more(client, sent):
    """Whether a piece could be sent within a moment."""
    piece = bytes(len(sent) // 4096 % 256 for _ in range(4096))
    try:
        sent += piece[:client.send(piece)]
        return True
    except BlockingIOError:
        time.sleep(0.2)
    try:
        sent += piece[:client.send(piece)]
        return True
    except BlockingIOError:
        return False


def test_many_connections(world, daemon):
    script = ("import http.server, sys\n"
              "class Page(http.server.BaseHTTPRequestHandler):\n"
              "    def do_GET(self):\n"
              "        self.send_response(200); self.end_headers(); self.wfile.write(b'page')\n"
              "    def log_message(self, *_): pass\n"
              "http.server.ThreadingHTTPServer.request_queue_size = 256\n"
              "http.server.ThreadingHTTPServer(('127.0.0.1', 7001), Page).serve_forever()\n")
    world.start(["/usr/bin/python3", "-c", script], "backend", netns=world.host)
    daemon(config("127.0.0.1:7001"))
    until(lambda: world.curl(f"http://{V4}/", check=False) == "page")
    result = Load(world, V6, count=500, concurrency=50, expect="page").result()
    assert (result["ok"], lost(result)) == (500, {})


@pytest.mark.parametrize("others", ["refuse", "plain"])
def test_accepted_proxy_header(world, daemon, others):
    """From the client's IPv4 address connections have a header; those from its IPv6 address are others."""
    Named(world, "backend", 7001)
    given = config("127.0.0.1:7001", **{"proxy-protocol": "v1"})
    given["services"]["legacy"]["accept-proxy"] = {"from": CLIENT_V4, "others": others, "timeout": "1s"}
    daemon(given)
    header = "PROXY TCP6 2001:db8:7::7 2001:db8:8::8 77 88\r\n"
    assert ask(world, 80, V4, header + "hello\n", namespace=world.client)["line"] == header
    for bad in "hello\n", "PROXY TCP4 ":
        with pytest.raises((ConnectionResetError, BrokenPipeError, ValueError)):
            ask(world, 80, V4, bad, namespace=world.client)
    if others == "plain":
        assert f" {CLIENT_V6} " in ask(world, 80, V6, namespace=world.client)["line"]
    else:
        with pytest.raises((ConnectionResetError, BrokenPipeError, ValueError)):
            ask(world, 80, V6, namespace=world.client)
