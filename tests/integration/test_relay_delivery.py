# SPDX-License-Identifier: BSD-2-Clause
"""The delivery `relay`: the daemon accepts and forwards, with the addresses of the connection."""
import pytest

from support.load import Load, lost
from support.process import until
from support.relay import Named, ask, dial, listener
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
