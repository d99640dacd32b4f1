# SPDX-License-Identifier: BSD-2-Clause
# Packages: openssh-server openssh-client
"""OpenSSH's sshd -i, started for each connection."""
import os

import pytest

from compat.executed import Executed, Inetd, check_reload
from compat.server import version
from compat.streams import check_parallel
from compat.test_openssh import GREETING, configure
from support.world import CLIENT_V4, CLIENT_V6, V4, V6


@pytest.mark.parametrize("way,delivery", [(Executed, "exec"), (Inetd, "exec / socketbox-inetd")], ids=["exec", "inetd"])
def test_sshd(world, daemon, row, tmp_path, way, delivery):
    sshd, _, *options = configure(tmp_path)
    started = way(world, daemon, 22, [sshd, "-i", *options])
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        result = world.run(["ssh", "-F", "none", "-i", tmp_path / "user", "-o", "BatchMode=yes",
                            "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known",
                            f"root@{address}", "echo $SSH_CONNECTION; readlink /proc/self/ns/net; exit 7"],
                           check=False, timeout=60)
        assert result.returncode == 7, result.stderr + started.log()
        seen = result.stdout.split()
        assert (seen[0], seen[2], seen[3]) == (client, address, "22")
        assert seen[4] not in (os.readlink("/proc/self/ns/net"), os.readlink(f"/proc/{started.daemon.process.pid}/ns/net"))
        assert f"publickey for root from {client}" in started.log()
    check_parallel(world, GREETING, count=100, concurrency=20)
    check_reload(world, started, GREETING)
    row("OpenSSH `sshd -i`", version(sshd, "-V", pattern=r"OpenSSH_([\w.]+)"),
        "login by key, `$SSH_CONNECTION`, reload of the daemon under load", delivery)
