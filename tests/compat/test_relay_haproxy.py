# SPDX-License-Identifier: BSD-2-Clause
# Packages: haproxy
"""`socketbox relay` with HAProxy as the other end of the PROXY protocol, before it and behind it."""
import json
import re

import pytest

from support import require
from support.load import Load, lost
from support.process import until
from support.relay import Named, Relay, dial
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

DEFAULTS = """
defaults
  timeout client 10s
  timeout server 10s
  timeout connect 5s
"""


def start_haproxy(world, text):
    (world.directory / "haproxy.cfg").write_text(DEFAULTS + text)
    return world.start([require.command("haproxy"), "-db", "-f", world.directory / "haproxy.cfg"], "haproxy",
                       netns=world.host)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_accepts_our_header(world, version):
    haproxy = start_haproxy(world, """
frontend behind
  mode http
  bind 127.0.0.1:7001 accept-proxy
  http-request return status 200 content-type text/plain lf-string "client=%[src] server=%[dst]:%[dst_port]\\n"
""")
    Relay(world, "--listen", "[::]:7000", "--proxy-protocol", version, "127.0.0.1:7001")
    until(lambda: world.curl(f"http://{V4}:7000/", check=False), what=haproxy.log())
    for url, client, server in ((f"http://{V4}:7000/", CLIENT_V4, V4), (f"http://[{V6}]:7000/", CLIENT_V6, V6)):
        assert world.curl(url) == f"client={client} server={server}:7000\n"
    result = Load(world, V6, 7000, count=1000, concurrency=100, expect=f"client={CLIENT_V6} ").result()
    assert (result["ok"], lost(result)) == (1000, {})


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_sends_its_header(world, option):
    """The addresses that HAProxy names are those that the relay tells its backend; its health checks (LOCAL) pass."""
    haproxy = start_haproxy(world, f"""
frontend before
  mode tcp
  bind :::7005 v4v6
  unique-id-format %{{+X}}o%ci:%cp
  default_backend relay
backend relay
  mode tcp
  server relay 127.0.0.1:7000 {option} check inter 100
""")
    Named(world, "backend", 7001)
    relay = Relay(world, "--listen", "127.0.0.1:7000", "--accept-proxy", "127.0.0.1", "--proxy-protocol", "v1",
                  "127.0.0.1:7001")
    until(lambda: haproxy.running() and relay.report()["taken"] > 2)
    for address, kind, client_address in ((V4, "TCP4", CLIENT_V4), (V6, "TCP6", CLIENT_V6)):
        with dial(world, 7005, address, namespace=world.client) as client:
            client.sendall(b"hello\n")
            line = json.load(client.makefile("rb"))["line"]
            assert re.fullmatch(f"PROXY {kind} {client_address} {address} {client.getsockname()[1]} 7005\r\n", line)
    assert "refused 127.0.0.1" not in relay.log()
