# SPDX-License-Identifier: BSD-2-Clause
# Packages: bind9 bind9-dnsutils
"""BIND: finds its addresses on the interface, and listens on each with a socket for each thread."""
import re

from compat.datagrams import (ANSWER, ANSWER_V6, NAME, check_dns, check_queries, check_restart, dns_config, ready)
from compat.server import version
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6


def test_named(world, daemon, service, row, tmp_path):
    named = require.command("named")
    (tmp_path / "named.conf").write_text(f"""
options {{
  directory "{tmp_path}"; pid-file "named.pid"; session-keyfile "session.key"; lock-file none;
  listen-on {{ any; }}; listen-on-v6 {{ any; }};
  querylog yes; recursion no; dnssec-validation no;
}};
controls {{ }};
zone "example.test" {{ type primary; file "zone"; }};
""")
    (tmp_path / "zone").write_text(f"""$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A {ANSWER}
www A {ANSWER}
www AAAA {ANSWER_V6}
""")
    started = service(daemon(dns_config()), "dns", [named, "-g", "-c", tmp_path / "named.conf"])
    ready(world, started, V4, V6)
    check_dns(world)
    for client, server in (CLIENT_V4, V4), (CLIENT_V6, V6):
        line = f"client @0x.+ {client}#.+query: {NAME} IN A .+\\({server}\\)"
        assert re.search(line, started.log())
    check_queries(world)
    check_restart(world, started, lambda: ready(world, started, V4, V6))
    row("BIND", version(named, "-v"), "UDP and TCP, 10,000 queries with none lost, `listen-on { any; }`")
