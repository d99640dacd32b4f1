# SPDX-License-Identifier: BSD-2-Clause
# Packages: dropbear-bin openssh-client
"""Dropbear, standalone: forks for each connection."""
import subprocess

from compat.server import version
from compat.streams import Exchange, check_descriptors, check_parallel, check_restart, config, ready
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

GREETING = Exchange(22, "SSH-2.0-load\r\nnopacket", "SSH-2.0-dropbear")  # ends with "bad packet size"
FEW = 2  # it takes 5 clients of one address that have not logged in


def test_dropbear(world, daemon, service, row, tmp_path):
    dropbear = require.command("dropbear")
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", tmp_path / "host"], check=True, capture_output=True)
    public = subprocess.run(["dropbearkey", "-y", "-f", tmp_path / "host"], check=True, capture_output=True, text=True)
    started = service(daemon(config("ssh", 22)), "ssh",
                      [dropbear, "-F", "-E", "-r", tmp_path / "host", "-P", tmp_path / "pid"])
    ready(world, started, GREETING)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        # Its users are those of the machine, so this goes as far as the key exchange, signed by the host's key.
        seen = world.run(["ssh-keyscan", "-t", "ed25519", address]).stdout
        assert seen.split()[2] in public.stdout
        assert f"Child connection from {client}:" in started.log() or f"from [{client}]:" in started.log()
    check_descriptors(world, started, 22)
    check_parallel(world, GREETING, count=100, concurrency=FEW)
    check_restart(world, started, GREETING, at_least=20, concurrency=FEW)
    row("Dropbear, standalone", version(dropbear, "-V"), "key exchange with the host's key")
