# SPDX-License-Identifier: BSD-2-Clause
# Packages: unbound bind9-dnsutils
"""unbound: interface-automatic, which serves a prefix, and SO_REUSEPORT threads on each address."""
import pytest

from compat.datagrams import (ANSWER, ANSWER_V6, IN_PREFIX, NAME, PREFIX, check_clients_in_log, check_dns,
                              check_queries, check_restart, dns_config, ready)
from compat.server import version
from support import require
from support.world import CLIENT_V6, V4, V6

CONFIG = """
server:
  directory: "{directory}"
  chroot: ""
  username: ""
  pidfile: "{directory}/unbound.pid"
  use-syslog: no
  log-queries: yes
  do-daemonize: no
  num-threads: 2
  so-reuseport: yes
  {interfaces}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  local-zone: "example.test." static
  local-data: "{name}. A {answer}"
  local-data: "{name}. AAAA {answer_v6}"
remote-control:
  control-enable: no
"""


@pytest.mark.parametrize("mode,interfaces,more,also", [
    ("interface-automatic", "interface-automatic: yes", [IN_PREFIX], "all addresses of an IPv6 prefix"),
    ("so-reuseport", f"interface: {V4}\n  interface: {V6}", [], "two threads on each address"),
], ids=["automatic", "reuseport"])
def test_unbound(world, daemon, service, row, tmp_path, mode, interfaces, more, also):
    unbound = require.command("unbound")
    (tmp_path / "unbound.conf").write_text(CONFIG.format(
        directory=tmp_path, interfaces=interfaces, name=NAME, answer=ANSWER, answer_v6=ANSWER_V6))
    d = daemon(dns_config(*[PREFIX] * len(more)))
    started = service(d, "dns", [unbound, "-d", "-c", tmp_path / "unbound.conf"])
    ready(world, started, V4, V6)
    check_dns(world, *more)
    check_clients_in_log(started, f"{{}} {NAME}. A IN")
    assert "needs" not in d.explain("udp", V6, "53", CLIENT_V6)
    check_queries(world, *more)
    check_restart(world, started, lambda: ready(world, started, V4, V6))
    row(f"unbound with {mode}", version(unbound, "-V"), f"UDP and TCP, 10,000 queries with none lost, {also}")
