# SPDX-License-Identifier: BSD-2-Clause
# Packages: systemd
"""systemd-socket-proxyd: takes its listener by LISTEN_FDS; its backend's listener is another one's."""
from compat.opened import started, wait_for
from compat.server import version
from support import require
from support.load import Load, lost
from support.world import V4, V6

BACKEND = """
import os, socket, threading
listener = socket.socket(fileno=int(os.environ["SOCKETBOX_FD_0"]))
def answer(connection):
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nbackend\\n")
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],)).start()
"""


def test_systemd_socket_proxyd(world, row, tmp_path):
    proxyd = require.command("/lib/systemd/systemd-socket-proxyd")
    started(world, ["open", f"unix-stream:{tmp_path}/backend,mode=0600"], ["/usr/bin/python3", "-c", BACKEND], "backend")
    process = started(world, ["open", "--netns", world.host, "tcp://[::]:80"],
                      [proxyd, "--connections-max=1000", tmp_path / "backend"])
    wait_for(world, process, "backend")
    for address in (V4, V6):
        result = Load(world, address, count=1000, concurrency=50, expect="backend").result()
        assert (result["ok"], lost(result)) == (1000, {})
    row("systemd-socket-proxyd", version(proxyd, "--version", pattern=r"systemd (\S+)"),
        "`LISTEN_FDS`, a backend on `unix-stream:`; it relays, so its backend sees no addresses", "open")
