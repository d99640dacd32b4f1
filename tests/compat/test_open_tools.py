# SPDX-License-Identifier: BSD-2-Clause
# Packages: busybox socat netcat-openbsd
"""Each kind of spec with the plainest programs: Busybox serves; Busybox, nc and socat are the clients."""
import subprocess

import pytest

from compat.opened import started
from compat.server import version
from support import require
from support.process import until
from support.world import V4, V6

# Each accepted connection gets a Busybox of its own, as from inetd; of the other sockets one reads the datagrams.
ACCEPT = """
import os, socket, subprocess
listener = socket.socket(fileno=int(os.environ["SOCKETBOX_FD_0"]))
while True:
    with listener.accept()[0] as connection:
        subprocess.run(["busybox", "tr", "a-z", "A-Z"], stdin=connection, stdout=connection, check=False)
"""
ANSWER = ["/usr/bin/python3", "-c", ACCEPT]
READ = ["sh", "-c", 'eval "exec 0<&$SOCKETBOX_FD_0"; exec busybox cat']

KINDS = {
    "tcp IPv4": (f"tcp://{V4}:80", ANSWER, ["busybox", "nc", V4, "80"]),
    "tcp IPv6": (f"tcp://[{V6}]:80", ANSWER, ["nc", "-N", V6, "80"]),
    "udp IPv4": (f"udp://{V4}:53", READ, ["nc", "-u", "-q0", V4, "53"]),
    "udp IPv6": (f"udp://[{V6}]:53", READ, ["nc", "-u", "-q0", V6, "53"]),
    "unix-stream": ("unix-stream:PATH", ANSWER, ["nc", "-N", "-U", "PATH"]),
    "unix-stream abstract": ("unix-stream:@sb-tools", ANSWER, ["socat", "-", "ABSTRACT-CONNECT:sb-tools"]),
    "unix-seqpacket": ("unix-seqpacket:PATH", ANSWER, ["socat", "-", "UNIX-CONNECT:PATH,type=5"]),
    "unix-dgram": ("unix-dgram:PATH", READ, ["socat", "-u", "-", "UNIX-SENDTO:PATH"]),
    "sockpair": ("sockpair:PATH", READ, ["socat", "-u", "-", "UNIX-SENDTO:PATH"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tools(world, row, tmp_path, kind):
    for name in ("busybox", "socat", "nc"):
        require.command(name)
    spec, server, client = KINDS[kind]
    path = str(tmp_path / "s")
    netns = world.host if "abstract" in kind else world.client  # an abstract name is its namespace's
    process = started(world, ["open", "--netns", world.host, spec.replace("PATH", path)], server)
    client = ["nsenter", f"--net=/run/netns/{netns}", *(word.replace("PATH", path) for word in client)]

    def asked():
        result = subprocess.run(client, input="hello\n", capture_output=True, text=True, timeout=20, check=False)
        return "HELLO\n" in result.stdout if server is ANSWER else "hello\n" in process.log()

    until(asked, 60, f"an answer ({process.log()})")
    row("Busybox", version("busybox", pattern=r"v(\d+(?:\.\d+)+)"),
        "every kind of spec; `busybox nc`, nc and socat as clients", "open")
