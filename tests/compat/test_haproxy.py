# SPDX-License-Identifier: BSD-2-Clause
# Packages: haproxy
"""HAProxy: unmodified `bind` lines, master-worker mode, reload by SIGUSR2."""
import signal
import time

from compat.server import check_all, check_page, check_parallel, check_reload, version
from support import require
from support.load import Load, lost
from support.process import until
from support.world import V4, V6


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


def test_haproxy_takes_its_sockets_by_x(world, daemon, row, tmp_path):
    """haproxy -x: plain binds, no launcher. Started anew while the old one serves, it takes the sockets over."""
    haproxy = require.command("haproxy")
    path = tmp_path / "web.getsocks"
    (tmp_path / "haproxy.cfg").write_text(f"""
global
  maxconn 2000
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind {V4}:80
  bind [{V6}]:80 v6only
  http-request return status 200 content-type text/plain lf-string "client=%[src] server=%[dst]\\n"
""")
    started = daemon({"services": {"web": {"getsocks": str(path)}},
                      "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]})
    command = ["unshare", "--net", haproxy, "-W", "-x", path, "-f", tmp_path / "haproxy.cfg"]
    old = world.start(command, "old", netns=world.host)
    until(lambda: world.curl(f"http://{V4}/", check=False), 60, "HAProxy answers")
    check_page(world, None)
    check_parallel(world)
    load = Load(world, V6, seconds=6, concurrency=8, expect="client=")
    time.sleep(1)
    new = world.start(command, "new", netns=world.host)
    until(lambda: b"New worker" in new.log_path.read_bytes() or "Loading success" in new.log(), 60, "the new one is up")
    time.sleep(0.5)
    old.stop(signal.SIGUSR1)
    result = load.result()
    assert result["ok"] > 50 and lost(result) == {}
    check_page(world, None)
    assert started.claims("web")
    row("HAProxy `-x`", version(haproxy, "-v"), "plain `bind` lines, no launcher; the successor takes the sockets over")
