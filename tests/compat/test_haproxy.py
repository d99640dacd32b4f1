# SPDX-License-Identifier: BSD-2-Clause
# Packages: haproxy
"""HAProxy: unmodified `bind` lines, master-worker mode, reload by SIGUSR2."""
import signal

from compat.server import check_all, check_reload, version
from support import require


def test_haproxy_bind(world, daemon, service, row, tmp_path):
    haproxy = require.command("haproxy")
    (tmp_path / "haproxy.cfg").write_text("""
global
  maxconn 2000
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind :80
  bind :::80 v6only
  http-request return status 200 content-type text/plain lf-string "client=%[src] server=%[dst]\\n"
""")
    started = check_all(world, daemon, service, [haproxy, "-W", "-f", tmp_path / "haproxy.cfg"],
                        restart=signal.SIGUSR1)
    check_reload(world, lambda: started.process.send(signal.SIGUSR2))
    row("HAProxy `bind`", version(haproxy, "-v"), "master-worker, soft stop, reload under load")
