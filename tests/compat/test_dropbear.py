# SPDX-License-Identifier: BSD-2-Clause
# Packages: dropbear-bin openssh-client libnss-wrapper
"""Dropbear, standalone: forks for each connection."""
import subprocess

from compat.server import version
from compat.streams import Exchange, check_descriptors, check_parallel, check_restart, config, ready
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

GREETING = Exchange(22, "SSH-2.0-load\r\nnopacket", "SSH-2.0-dropbear")  # ends with "bad packet size"
FEW = 2  # it takes 5 clients of one address that have not logged in


def make_home(directory):
    """A home for the user root, and the environment that makes it so: Dropbear looks for keys nowhere else."""
    keys = directory / "home" / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "user"], check=True)
    (keys / "authorized_keys").write_text((directory / "user.pub").read_text())
    (keys / "authorized_keys").chmod(0o600)
    (directory / "passwd").write_text(f"root:x:0:0::{directory}/home:/bin/sh\n")
    (directory / "group").write_text("root:x:0:\n")
    return ["env", "LD_PRELOAD=libnss_wrapper.so", f"NSS_WRAPPER_PASSWD={directory}/passwd",
            f"NSS_WRAPPER_GROUP={directory}/group"]


def test_dropbear(world, daemon, service, row, tmp_path):
    dropbear = require.command("dropbear")
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", tmp_path / "host"], check=True, capture_output=True)
    started = service(daemon(config("ssh", 22)), "ssh",
                      [*make_home(tmp_path), dropbear, "-F", "-E", "-r", tmp_path / "host", "-P", tmp_path / "pid"])
    ready(world, started, GREETING)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        seen = world.run(["ssh", "-F", "none", "-i", tmp_path / "user", "-o", "BatchMode=yes",
                          "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known",
                          f"root@{address}", "echo $SSH_CONNECTION"]).stdout.split()
        assert (seen[0], seen[2], seen[3]) == (client, address, "22")
    check_descriptors(world, started, 22)
    check_parallel(world, GREETING, count=100, concurrency=FEW)
    check_restart(world, started, GREETING, at_least=20, concurrency=FEW)
    row("Dropbear, standalone", version(dropbear, "-V"), "login by key, `$SSH_CONNECTION`")
