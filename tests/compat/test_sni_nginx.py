# SPDX-License-Identifier: BSD-2-Clause
# Packages: nginx-light openssl
"""Two unmodified nginx behind one address and port, told apart by the TLS server name. A handshake of which a byte
were lost or changed on the way would fail: its Finished messages cover all of it (RFC 8446, 4.4)."""
import re
import time

import pytest

from compat.server import CLIENTS, version
from support import paths, require
from support.preload import Directory
from support.process import until
from support.tls import TlsLoad, certificate
from support.world import V4, V6

NAMES = {"one": "one.example", "two": "two.example"}
CONFIGURATION = """
pid {directory}/{service}.pid; error_log stderr; worker_processes 2;
events {{ worker_connections 2048; }}
http {{ access_log off; server {{
  listen 443 ssl http2; listen [::]:443 ssl http2; listen 444 ssl; listen [::]:444 ssl;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};
  location / {{
    return 200 "name={name} sni=$ssl_server_name client=$remote_addr server=$server_addr:$server_port $server_protocol\\n";
  }} }} }}
"""


class Pair:
    """The daemon and the two servers."""

    def __init__(self, world, daemon, service, sockets):
        nginx = require.command("nginx")
        self.world = world
        self.config = {
            "services": {name: {"handoff": {"path": f"{sockets}/{name}_@SB_.sock", "hold": "30s"}} for name in NAMES},
            "routes": [{"to": [V4, V6], "port": [443, 444], "sni": name, "service": one} for one, name in NAMES.items()]
            + [{"to": [V4, V6], "port": 443, "service": "two"}]}
        self.daemon = daemon(self.config)
        self.certificates = {}
        for one, name in NAMES.items():
            self.certificates[name], key = certificate(world.directory, name)
            path = world.directory / f"{one}.conf"
            path.write_text(CONFIGURATION.format(directory=world.directory, service=one, name=name, key=key,
                                                 certificate=self.certificates[name]))
            service(self.daemon, one, [nginx, "-c", path, "-g", "daemon off;"], "--preload",
                    env={"SOCKETBOX_PRELOAD_LIBRARY": str(paths.PRELOAD)})
        for name in NAMES.values():
            for address in (V4, V6):
                until(lambda name=name, address=address: self.page(address, name, check=False), 60, f"{name} answers")

    def page(self, address, name, *options, port=443, check=True):
        host = f"[{address}]" if ":" in address else address
        return self.world.curl(f"https://{name}:{port}/", "--resolve", f"{name}:{port}:{host}", "--cacert",
                               self.certificates[name], *options, check=check, timeout=20)

    def subject(self, address, *options, port=443, name="two.example"):
        """The name in the certificate that a client is shown, after a handshake that it verifies; None if there is
        none."""
        host = f"[{address}]" if ":" in address else address
        text = self.world.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-verify_return_error", "-CAfile",
                               self.certificates[name], *options], check=False).stdout
        if "Verify return code: 0 (ok)" not in text or "subject=CN = " not in text:
            return None
        return re.search(r"^subject=CN = (\S+)", text, re.M).group(1)


@pytest.fixture
def pair(world, daemon, service):
    with Directory() as sockets:
        yield Pair(world, daemon, service, sockets)


def check_names(pair):
    """Each name reaches its server, by every version of TLS and HTTP, and the server sees the true addresses."""
    for address, client in CLIENTS.items():
        for name in NAMES.values():
            for tls in "-tls1_2", "-tls1_3":
                assert pair.subject(address, "-servername", name, tls, name=name) == name
            for option, protocol in ("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0"):
                assert pair.page(address, name, option) == \
                    f"name={name} sni={name} client={client} server={address}:443 {protocol}\n"
            assert f"server={address}:444 " in pair.page(address, name, port=444)


def check_other_names(pair):
    """Without a name that a route says, the next route decides: one of port 443 takes all, port 444 has none."""
    for address in V4, V6:
        for options in ("-noservername",), ("-servername", "other.example"), ("-servername", "sub.one.example"):
            assert pair.subject(address, *options) == "two.example"
            assert pair.subject(address, *options, port=444) is None


def check_parallel(pair, count=1000):
    for address in V4, V6:
        assert TlsLoad(pair.world, address, pair.certificates, count=count).result() == {"ok": count}


def check_reload(pair):
    """The daemon's, with routes and names that come and go around those in use."""
    more = {"to": [V4, V6], "port": 443, "sni": [f"{number}.example" for number in range(1000)], "service": "one"}
    loads = [TlsLoad(pair.world, address, pair.certificates) for address in (V4, V6)]
    for extra in [more], [], [more]:
        time.sleep(1)
        pair.daemon.reload({**pair.config, "routes": extra + pair.config["routes"]})
        assert pair.page(V6, "one.example").startswith("name=one.example")
    time.sleep(1)
    for load in loads:
        load.stop()
    for load in loads:
        result = load.result()
        assert result == {"ok": result["ok"]} and result["ok"] > 20
    assert pair.subject(V6, "-servername", "999.example", name="one.example") == "one.example"


@pytest.mark.parametrize("engine", ["kernel", "user"])
def test_two_nginx_by_tls_name(pair, row):
    check_names(pair)
    check_other_names(pair)
    check_parallel(pair)
    check_reload(pair)
    row("nginx twice, on one port", version(require.command("nginx"), "-v"), "TLS 1.2 and 1.3, HTTP/2, the handshake "
        "untouched, other and no names go to the next route, 1000 TLS connections at once, reload of socketboxd under load",
        "handoff by TLS name")
