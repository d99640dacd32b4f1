# SPDX-License-Identifier: BSD-2-Clause
# Packages: rsync
"""rsync as a daemon: a transfer in each direction."""
from compat.server import version
from compat.streams import Exchange, check_descriptors, check_parallel, check_restart, config, ready
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

LIST = Exchange(873, "@RSYNCD: 31.0\n#list\n", "@RSYNCD: EXIT")


def test_rsync(world, daemon, service, row, tmp_path):
    rsync = require.command("rsync")
    for directory in "files", "sent":
        (tmp_path / directory).mkdir()
    content = bytes(range(256)) * 4096
    (tmp_path / "files" / "data").write_bytes(content)
    (tmp_path / "rsyncd.conf").write_text(f"""
uid = root
gid = root
pid file = {tmp_path}/rsyncd.pid
[files]
path = {tmp_path}/files
read only = no
""")
    started = service(daemon(config("files", 873)), "files",
                      [rsync, "--daemon", "--no-detach", "--log-file=/dev/stderr", f"--config={tmp_path}/rsyncd.conf"])
    ready(world, started, LIST)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        there = f"rsync://[{address}]/files/"
        world.run([rsync, "-a", f"{there}data", f"{tmp_path}/got-{address}"])
        assert (tmp_path / f"got-{address}").read_bytes() == content
        world.run([rsync, "-a", f"{tmp_path}/got-{address}", there])
        assert (tmp_path / "files" / f"got-{address}").read_bytes() == content
        assert f"({client})" in started.log()
    check_descriptors(world, started, 873)
    check_parallel(world, LIST, count=300, concurrency=20)
    check_restart(world, started, LIST)
    row("rsync daemon", version(rsync, "--version"), "download and upload")
