# SPDX-License-Identifier: BSD-2-Clause
# Packages: dnsmasq-base bind9-dnsutils
"""dnsmasq: on the wildcard with IP_PKTINFO, which serves a prefix too, and on each address (bind-interfaces)."""
import pytest

from compat.datagrams import (ANSWER, ANSWER_V6, IN_PREFIX, NAME, PREFIX, check_clients_in_log, check_dns,
                              check_queries, check_restart, dns_config, ready)
from compat.server import version
from support import require
from support.world import V4, V6


@pytest.mark.parametrize("mode", ["wildcard", "bind-interfaces"])
def test_dnsmasq(world, daemon, service, row, tmp_path, mode):
    dnsmasq = require.command("dnsmasq")
    wildcard = mode == "wildcard"
    (tmp_path / "dnsmasq.conf").write_text(f"""
no-resolv
no-hosts
host-record={NAME},{ANSWER},{ANSWER_V6}
log-queries
log-facility=-
pid-file={tmp_path}/dnsmasq.pid
{"" if wildcard else mode}
""")
    d = daemon(dns_config(*([PREFIX] if wildcard else [])))
    started = service(d, "dns", [dnsmasq, "--keep-in-foreground", "-C", tmp_path / "dnsmasq.conf"])
    ready(world, started, V4, V6)
    more = [IN_PREFIX] if wildcard else []
    # On the wildcard, dnsmasq takes a TCP connection only from an interface that has the same index in its namespace.
    check_dns(world, *more, tcp=not wildcard)
    check_clients_in_log(started, f"{NAME} from {{}}")
    check_queries(world, *more)
    check_restart(world, started, lambda: ready(world, started, V4, V6))
    row("dnsmasq" + ("" if wildcard else " with bind-interfaces"), version(dnsmasq, "--version"),
        "10,000 queries with none lost, " +
        ("UDP only, all addresses of an IPv6 prefix" if wildcard else "UDP and TCP, a socket for each address"))
