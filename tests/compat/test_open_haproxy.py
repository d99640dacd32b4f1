# SPDX-License-Identifier: BSD-2-Clause
# Packages: haproxy
"""HAProxy: `bind fd@N`, and `bind sockpair@N` on a socket to which a sender hands connections."""
import pytest

from compat.opened import WAYS, check_web, started, wait_for, web
from compat.server import version
from support import paths, require
from support.load import Load, lost
from support.process import until
from support.world import V4, V6

CONFIG = """
global
  maxconn 2000
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind {bind}
  http-request return status 200 content-type text/plain lf-string "client=%[src] server=%[dst]\\n"
"""


def configured(tmp_path, bind):
    (tmp_path / "haproxy.cfg").write_text(CONFIG.format(bind=bind))
    return [require.command("haproxy"), "-f", tmp_path / "haproxy.cfg"]


@WAYS
def test_haproxy_fd(world, row, tmp_path, way):
    command = configured(tmp_path, "fd@${CTRTOOL_NS_OPEN_FILE_FD_0}")
    check_web(world, started(world, web(world, way), command))
    row("HAProxy `bind fd@`", version(command[0], "-v"), "as `ctrtool ns_open_file`, too", "open")


def test_haproxy_sockpair_of_the_daemon(world, daemon, row, tmp_path):
    """The destination of a service with `handoff`. When HAProxy starts again, it replaces the file that is left."""
    path = tmp_path / "handoff"
    sender = daemon({"services": {"web": {"handoff": {"path": str(path), "hold": "20s"}}},
                     "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]}, wait=False)
    until(sender.answers, 60, "the daemon answers")
    command = configured(tmp_path, "sockpair@${SOCKETBOX_FD_0}")
    process = started(world, ["open", f"sockpair:{path}"], command)
    wait_for(world, process, "client=")
    for address in (V4, V6):
        result = Load(world, address, count=2000, concurrency=100, expect="client=").result()
        assert (result["ok"], lost(result)) == (2000, {})
    process.stop()
    wait_for(world, started(world, ["open", f"sockpair:{path}"], command, "again"), "client=")
    row("HAProxy `bind sockpair@`", version(command[0], "-v"),
        "on `sockpair:`, the destination of a service's `handoff`; shows no addresses", "open")


@pytest.mark.parametrize("way", ["unix-dgram", "ctrtool"])
def test_haproxy_sockpair(world, row, tmp_path, way):
    """Its pages cannot tell addresses: to HAProxy such a connection is `unix`."""
    path = tmp_path / "handoff"
    words = ["open", f"{way}:{path}"]
    if way == "ctrtool":
        words = ["ctrtool", "ns_open_file", "-n", "-d", "unix", "-t", "dgram", "-P", path]
    command = configured(tmp_path, "sockpair@${CTRTOOL_NS_OPEN_FILE_FD_0}")
    process = started(world, words, command)
    world.start(["/usr/bin/python3", paths.SOURCE / "tests" / "support" / "feeder.py", path, "80", V4, V6], "feeder",
                netns=world.host)
    wait_for(world, process, "client=")
    for address in (V4, V6):
        result = Load(world, address, count=2000, concurrency=100, expect="client=").result()
        assert (result["ok"], lost(result)) == (2000, {})
    row("HAProxy `bind sockpair@`", version(command[0], "-v"),
        "by the recipe for `ctrtool ns_open_file`, fed by a sender that waits; shows no addresses", "open")
