# SPDX-License-Identifier: BSD-2-Clause
# Packages: rsync
"""rsync as a daemon on a socket, started for each connection: a transfer in each direction."""
from compat.executed import Executed, check_descriptors, check_reload
from compat.server import version
from compat.streams import check_parallel
from compat.test_rsync import LIST
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6


def test_rsync(world, daemon, row, tmp_path):
    rsync = require.command("rsync")
    (tmp_path / "files").mkdir()
    content = bytes(range(256)) * 4096
    (tmp_path / "files" / "data").write_bytes(content)
    log = tmp_path / "rsync.log"
    (tmp_path / "rsyncd.conf").write_text(f"""
uid = root
gid = root
log file = {log}
transfer logging = yes
[files]
path = {tmp_path}/files
read only = no
""")
    started = Executed(world, daemon, 873, [rsync, "--daemon", f"--config={tmp_path}/rsyncd.conf"])
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        there = f"rsync://[{address}]/files/"
        world.run([rsync, "-a", f"{there}data", f"{tmp_path}/got-{address}"])
        assert (tmp_path / f"got-{address}").read_bytes() == content
        world.run([rsync, "-a", f"{tmp_path}/got-{address}", there])
        assert (tmp_path / "files" / f"got-{address}").read_bytes() == content
        assert f"({client})" in log.read_text()
    check_descriptors(world, started, 873)
    check_parallel(world, LIST, count=300, concurrency=20)
    check_reload(world, started, LIST)
    row("rsync daemon, by inetd", version(rsync, "--version"), "download and upload, reload of the daemon under load", "exec")
