# SPDX-License-Identifier: BSD-2-Clause
# Packages: nginx-light
"""nginx under the preload library: both families bound apart as Debian's configuration has it, options of `listen`."""
import signal

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import check_reload, version
from support import require
from support.process import until


def test_nginx(world, preloaded, row, tmp_path):  # noqa: F811
    nginx = require.command("nginx")
    (tmp_path / "nginx.conf").write_text(f"""
pid {tmp_path}/nginx.pid; error_log stderr; worker_processes 2;
events {{ worker_connections 1024; }}
http {{ access_log off; server {{
  listen 80 default_server deferred so_keepalive=30s:5s:3 fastopen=5; listen [::]:80 default_server;
  location / {{ return 200 "client=$remote_addr server=$server_addr\\n"; }} }} }}
""")
    server = preloaded()
    check_all(world, server, [nginx, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"], restart=signal.SIGQUIT)
    until((tmp_path / "nginx.pid").read_text)
    check_reload(world, lambda: server.process.send(signal.SIGHUP))
    assert "emerg" not in server.log() and "alert" not in server.log()
    row("nginx", version(nginx, "-v"), "Debian's `listen 80` beside `listen [::]:80`, `$server_addr`, "
        "`deferred`, `so_keepalive`, reload under load", "preload")
