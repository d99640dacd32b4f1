# SPDX-License-Identifier: BSD-2-Clause
# Packages: caddy
"""Caddy: a Go server with SO_REUSEPORT listeners, and a reload through its admin endpoint on loopback."""
import subprocess

from compat.server import check_all, check_descriptors, check_reload, version
from support import require


def test_caddy(world, daemon, service, row, tmp_path):
    caddy = require.command("caddy")
    (tmp_path / "Caddyfile").write_text("""
{
  auto_https off
}
:80 {
  respond "client={http.request.remote.host}"
}
""")
    started = check_all(world, daemon, service, [caddy, "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"],
              addresses=check_descriptors,
              env={"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})

    def reload():
        subprocess.run(["nsenter", "-t", str(started.program), "-n", caddy, "reload", "--force", "--config",
                        tmp_path / "Caddyfile", "--adapter", "caddyfile"], check=True, capture_output=True)

    check_reload(world, reload)
    row("Caddy", version(caddy, "version"), "admin endpoint on the service's own loopback, reload under load")
