# SPDX-License-Identifier: BSD-2-Clause
# Packages: openssh-server openssh-client
"""OpenSSH's sshd, standalone: re-executes itself for each connection, and drops privileges."""
import os
import subprocess

from compat.server import version
from compat.streams import Exchange, check_parallel, check_restart, config, ready
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

GREETING = Exchange(22, "no SSH\r\n", "SSH-2.0-OpenSSH")  # ends with "Invalid SSH identification string."
CONFIG = """
HostKey {directory}/host
AuthorizedKeysFile {directory}/authorized_keys
PidFile {directory}/sshd.pid
StrictModes no
UsePAM yes
MaxStartups 100
"""


def configure(directory):
    """Makes the server's and the user's keys, and the server's configuration; returns the command that starts it."""
    for name in "host", "user":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
    (directory / "authorized_keys").write_text((directory / "user.pub").read_text())
    (directory / "sshd_config").write_text(CONFIG.format(directory=directory))
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # as its unit has it
    return [require.command("sshd"), "-D", "-e", "-f", directory / "sshd_config"]


def connection_seen(world, directory, address):
    """Logs in as root; returns the addresses and ports that the session has of the connection."""
    return world.run(["ssh", "-F", "none", "-i", directory / "user", "-o", "BatchMode=yes",
                      "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={directory}/known",
                      f"root@{address}", "echo $SSH_CONNECTION"]).stdout.split()


def test_sshd(world, daemon, service, row, tmp_path):
    started = service(daemon(config("ssh", 22)), "ssh", configure(tmp_path))
    ready(world, started, GREETING)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        seen = connection_seen(world, tmp_path, address)
        assert (seen[0], seen[2], seen[3]) == (client, address, "22")
    check_parallel(world, GREETING, count=100, concurrency=20)
    check_restart(world, started, GREETING, at_least=20)
    row("OpenSSH sshd, standalone", version(require.command("sshd"), "-V", pattern=r"OpenSSH_([\w.]+)"),
        "login by key, `$SSH_CONNECTION`")
