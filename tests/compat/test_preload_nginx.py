# SPDX-License-Identifier: BSD-2-Clause
# Packages: nginx-light
"""nginx under the preload library: both families bound apart as Debian's configuration has it, options of `listen`."""
import signal

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import check_page, check_parallel, check_reload, check_restart, version
from support import paths, require
from support.preload import Directory
from support.process import until
from support.world import V4, V6

CONFIGURATION = """
pid {directory}/nginx.pid; error_log stderr; worker_processes 2;
events {{ worker_connections 1024; }}
http {{ access_log off; server {{
  listen 80 default_server{options}; listen [::]:80 default_server;
  location / {{ return 200 "client=$remote_addr server=$server_addr\\n"; }} }} }}
"""


def test_nginx_handed_over_by_the_daemon(world, daemon, service, row, tmp_path):
    """`socketbox run --preload`, and socketboxd in the place of the feeder: senders find the listener of either family."""
    nginx = require.command("nginx")
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(directory=tmp_path, options=""))
    with Directory() as directory:
        config = {"engine": "user", "services": {"web": {"handoff": {"path": f"{directory}/web.sock", "hold": "30s"}}},
                  "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]}
        started = service(daemon(config), "web", [nginx, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"], "--preload",
                          env={"SOCKETBOX_PRELOAD_LIBRARY": str(paths.PRELOAD)})
        started.ready(f"http://{V4}/")
        check_page(world, started)
        check_parallel(world)
        check_reload(world, lambda: started.process.send(signal.SIGHUP))
        check_restart(world, started, signal.SIGQUIT)
    row("nginx by `socketbox run --preload`", version(nginx, "-v"), "handed over by socketboxd, reload under load, "
        "restart with none lost", "preload")


def test_nginx(world, preloaded, row, tmp_path):  # noqa: F811
    nginx = require.command("nginx")
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(
        directory=tmp_path, options=" deferred so_keepalive=30s:5s:3 fastopen=5"))
    server = preloaded()
    check_all(world, server, [nginx, "-c", tmp_path / "nginx.conf", "-g", "daemon off;"], restart=signal.SIGQUIT)
    until((tmp_path / "nginx.pid").read_text)
    check_reload(world, lambda: server.process.send(signal.SIGHUP))
    assert "emerg" not in server.log() and "alert" not in server.log()
    row("nginx", version(nginx, "-v"), "Debian's `listen 80` beside `listen [::]:80`, `$server_addr`, "
        "`deferred`, `so_keepalive`, reload under load", "preload")
