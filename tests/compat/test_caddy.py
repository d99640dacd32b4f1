# SPDX-License-Identifier: BSD-2-Clause
# Packages: caddy golang-go golang-github-lucas-clemente-quic-go-dev
"""Caddy: a Go server with SO_REUSEPORT listeners, and a reload through its admin endpoint on loopback; HTTPS with its
own authority, and HTTP/3 on the UDP socket beside it."""
import os
import pathlib
import re
import subprocess

import pytest

from compat.server import CLIENTS, CONFIG, check_all, check_descriptors, check_reload, version
from support import require
from support.world import V4, V6

HTTP3 = pathlib.Path(__file__).parent / "programs" / "http3.go"
PLAIN = """
{
  auto_https off
}
:80 {
  respond "client={http.request.remote.host}"
}
"""
HTTPS = """
{
  skip_install_trust
  default_sni 192.0.2.1
  auto_https disable_redirects
}
http:// {
  respond "client={http.request.remote.host}"
}
https://192.0.2.1, https://[2001:db8::1] {
  tls internal
  respond "client={http.request.remote.host}"
}
"""


@pytest.fixture
def caddy(world, daemon, service, tmp_path):
    """Starts Caddy, with the checks of every row: caddy(Caddyfile, config)."""
    program, file = require.command("caddy"), tmp_path / "Caddyfile"

    def start(text, config=None):
        file.write_text(text)
        started = check_all(world, daemon, service, [program, "run", "--config", file, "--adapter", "caddyfile"],
                            addresses=check_descriptors, config=config,
                            env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
        return started, lambda: subprocess.run(
            ["nsenter", "-t", str(started.program), "-n", program, "reload", "--force", "--config", file,
             "--adapter", "caddyfile"], check=True, capture_output=True)
    return start


def test_caddy(world, row, caddy):
    _, reload = caddy(PLAIN)
    check_reload(world, reload)
    row("Caddy", version("caddy", "version"), "admin endpoint on the service's own loopback, reload under load")


@pytest.fixture
def http3(world, tmp_path):
    """A QUIC client: http3(count, concurrency, address) starts it, so many connections, and answers(it) is what it
    got. It is built with the QUIC library of Debian."""
    program = tmp_path / "http3"
    subprocess.run([require.command("go"), "build", "-o", program, HTTP3], check=True, env=dict(
        os.environ, HOME=str(tmp_path), GOCACHE="/var/tmp/socketbox-go-cache", GO111MODULE="off", GOFLAGS="",
        GOPATH="/usr/share/gocode"))
    return lambda count, concurrency, address: subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{world.client}", program, str(count), str(concurrency), url_of(address)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def answers(client):
    """How often each answer came."""
    lines = client.communicate(timeout=120)[0].splitlines()
    return {text: int(count) for count, text in (line.split(" ", 1) for line in lines)}


def url_of(address):
    return f"https://[{address}]/" if ":" in address else f"https://{address}/"


def right(count, address):
    return {f"HTTP/3.0 client={CLIENTS[address]}": count}


def test_caddy_https_and_http3(world, row, caddy, http3):
    routes = [{"to": [V4, V6], "port": [80, 443], "service": "web"},
              {"to": [V4, V6], "port": 443, "protocol": "udp", "service": "web"}]
    started, reload = caddy(HTTPS, {"services": CONFIG["services"], "routes": routes})
    for address in (V4, V6):
        page = world.curl(url_of(address), "-k", "-i")
        assert re.match(r"HTTP/2 200", page) and 'h3=":443"' in page
        assert page.endswith(f"client={CLIENTS[address]}")
        assert answers(http3(100, 20, address)) == right(100, address)
    check_reload(world, reload)
    assert answers(http3(20, 20, V6)) == right(20, V6)

    # What arrives while nobody is there waits in the held socket.
    started.stop()
    clients = [(address, http3(10, 10, address)) for address in (V4, V6)]
    started.start()
    started.ready(url_of(V6))
    for address, client in clients:
        assert answers(client) == right(10, address)
    row("Caddy with HTTPS, HTTP/3", version("caddy", "version"),
        "`tls internal`, HTTP/2, HTTP/3 to a QUIC client, which connects while the server restarts")
