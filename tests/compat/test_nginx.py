# SPDX-License-Identifier: BSD-2-Clause
# Packages: nginx-light
"""nginx: two listeners on one port, reuseport, reload, $server_addr."""
import signal

import pytest

from compat.server import check_all, check_reload, version
from support import require

PAGE = 'return 200 "client=$remote_addr server=$server_addr\\n";'


@pytest.mark.parametrize("reuseport", [False, True], ids=["plain", "reuseport"])
def test_nginx(world, daemon, service, row, tmp_path, reuseport):
    nginx = require.command("nginx")
    option = " reuseport" if reuseport else ""
    (tmp_path / "nginx.conf").write_text(f"""
pid {tmp_path}/nginx.pid; error_log stderr; worker_processes 2;
events {{ worker_connections 1024; }}
http {{ access_log off; server {{
  listen 80{option}; listen [::]:80{option} ipv6only=on;
  location / {{ {PAGE} }} }} }}
""")
    started = check_all(world, daemon, service, [nginx, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"],
                        restart=signal.SIGQUIT)
    master = int((tmp_path / "nginx.pid").read_text())

    def reload():
        started.process.send(signal.SIGHUP)

    check_reload(world, reload)
    assert int((tmp_path / "nginx.pid").read_text()) == master
    row("nginx" + (" with reuseport" if reuseport else ""), version(nginx, "-v"),
        "`listen 80` beside `listen [::]:80 ipv6only=on`, `$server_addr`, reload under load")


def test_nginx_as_a_daemon(world, daemon, service, tmp_path):
    nginx = require.command("nginx")
    (tmp_path / "nginx.conf").write_text(f"""
pid {tmp_path}/nginx.pid; error_log stderr;
events {{}}
http {{ access_log off; server {{ listen [::]:80 ipv6only=off; location / {{ {PAGE} }} }} }}
""")
    check_all(world, daemon, service, [nginx, "-c", tmp_path / "nginx.conf"], restart=signal.SIGQUIT)
