# SPDX-License-Identifier: BSD-2-Clause
# Packages: systemd
"""systemd-socket-proxyd: takes its sockets by LISTEN_FDS, claimed before it starts."""
import contextlib
import socketserver
import threading

import pytest

from compat.server import version
from compat.streams import Exchange, check_descriptors, check_parallel, check_restart, config, ready
from support import require

PROXYD = "/lib/systemd/systemd-socket-proxyd"
PAGE = Exchange(80, "GET / HTTP/1.0\r\n\r\n", "hello from behind")


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nhello from behind\n")


class Server(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 512
    daemon_threads = True


@pytest.fixture
def backend(tmp_path):
    with Server(str(tmp_path / "backend.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "backend.sock"
        server.shutdown()


def test_socket_proxyd(world, daemon, service, row, backend):
    started = service(daemon(config("web", 80)), "web", [require.command(PROXYD), backend], "--listen-fds")
    ready(world, started, PAGE)
    check_descriptors(world, started, 80)
    check_parallel(world, PAGE)
    check_restart(world, started, PAGE)
    row("systemd-socket-proxyd", version("systemctl", "--version", pattern=r"systemd (\d+)"), "`--listen-fds`")
