# SPDX-License-Identifier: BSD-2-Clause
# Packages: tftpd-hpa curl
"""tftpd-hpa: answers from another port than it was asked on, by a connected socket for each transfer."""
import concurrent.futures
import time

import pytest

from compat.server import version
from support import require
from support.process import until
from support.world import V4, V6

RANGE = "50000-50099"
# --port-range names the ports of transfers, so that a route can. Without it each is bound to the address that was asked,
# with port 0, which is a grant's matter. One that serves both families does not always see that address (it sets the
# option for it by the family of the request before), and then binds the wildcard, which no grant covers: one for each.
ROUTED = {"services": {"tftp": {}},
          "routes": [{"to": [V4, V6], "protocol": "udp", "port": [69, RANGE], "service": "tftp"}]}
GRANTED = {"services": {"tftp": {"grants": {"passive": RANGE, "protocol": "udp"}}},
           "routes": [{"to": [V4, V6], "protocol": "udp", "port": 69, "service": "tftp"},
                      {"to": [V4, V6], "protocol": "udp", "port": "1-65535", "refuse": True}]}


def host(address):
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("config,options,served,how", [
    (ROUTED, ["--port-range", RANGE.replace("-", ":")], (V4, V6), "`--port-range`"),
    (GRANTED, ["--ipv4"], (V4,), "`grants:` for UDP, a server for each family"),
    (GRANTED, ["--ipv6"], (V6,), "`grants:` for UDP, a server for each family"),
], ids=["routed", "granted-ipv4", "granted-ipv6"])
def test_tftpd(world, daemon, service, row, tmp_path, config, options, served, how):
    tftpd = require.command("in.tftpd")
    content = bytes(range(256)) * 200
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "data").write_bytes(content)
    for directory in [tmp_path / "files", *tmp_path.parents]:
        if str(directory).startswith("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o011)
    started = service(daemon(config), "tftp", [tftpd, "--foreground", "--listen", "--address", ":69", *options, "--secure",
                                               tmp_path / "files"])

    def fetch(address, name):
        world.curl(f"tftp://{host(address)}/data", "-o", tmp_path / name, timeout=15)
        return (tmp_path / name).read_bytes() == content

    def answers():
        assert started.process.running(), started.log()
        return world.curl(f"tftp://{host(served[0])}/data", "-o", tmp_path / "first", check=False) is not None
    until(answers, what="the server answers")
    for address in served:
        assert fetch(address, "one")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(fetch, address, f"got-{number}")
                for number, address in enumerate(served * (40 // len(served)))]
        assert all(job.result() for job in jobs)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        end = time.monotonic() + 3

        def keep_fetching(address):
            done = 0
            while time.monotonic() < end:
                assert fetch(address, f"again-{address}")
                done += 1
            return done
        jobs = [pool.submit(keep_fetching, address) for address in served]
        time.sleep(0.5)
        started.restart()  # transfers under way end first; new ones wait
        assert all(job.result() > 3 for job in jobs)
    row("tftpd-hpa", version(tftpd, "-V", pattern=r"tftp-hpa (\S+?),"), f"UDP, {how}, 40 transfers, 8 at once, restart with none lost")
