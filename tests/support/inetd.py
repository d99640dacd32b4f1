# SPDX-License-Identifier: BSD-2-Clause
"""socketbox inetd, and connections that are handed to it as a handoff does."""
import json
import os
import pathlib
import re
import socket

from . import paths
from .process import Process, until


class Inetd:
    """`socketbox inetd OPTIONS SOCKET COMMAND`; the socket is at .path."""

    def __init__(self, directory, *command, options=(), name="inetd", prefix=(), env=None, cli=paths.CLI, **more):
        self.path = pathlib.Path(directory) / f"{name}.sock"
        self.process = Process([*prefix, cli, "inetd", *options, self.path, *command],
                               pathlib.Path(directory) / f"{name}.log", env=dict(os.environ, **(env or {})), **more)
        until(self.listens, what="socketbox inetd listens")
        self.sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sender.connect(str(self.path))

    def listens(self):
        assert self.process.running(), self.log()
        return self.path.exists()

    def log(self):
        return self.process.log()

    def says(self, pattern, timeout=20, times=1):
        """Waits until the log has the pattern so often."""
        try:
            until(lambda: len(re.findall(pattern, self.log())) >= times, timeout)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not {times} times in\n{self.log()}") from None

    def hand(self, *fds, message=b"A"):
        self.sender.settimeout(20)
        socket.send_fds(self.sender, [message], list(fds))

    def connect(self, source="127.0.0.1", address="127.0.0.1"):
        """A client whose connection has been handed over."""
        client, server = tcp_pair(source, address)
        with server:
            self.hand(server.fileno())
        return client

    def ask(self, **options):
        """All that a program sends to a client that says nothing."""
        with self.connect(**options) as client:
            client.shutdown(socket.SHUT_WR)
            return read_all(client)

    def show(self, **options):
        """What show_inherited tells."""
        answer = json.loads(self.ask(**options))
        answer["env"] = dict(variable.split("=", 1) for variable in answer["env"])
        return answer

    def children(self):
        return pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.sender.close()
        return self.process.stop()


def remove_cgroup(pid):
    """Removes a receiver's cgroup, which is left behind where programs outlived it; false while they live."""
    for directory in pathlib.Path("/sys/fs/cgroup").glob(f"**/socketbox-inetd-{pid}"):
        try:
            directory.rmdir()
        except OSError:
            return False
    return True


def tcp_pair(source="127.0.0.1", address="127.0.0.1"):
    """A client's and a server's end of one connection."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2], source_address=(source, 0))
        server, _ = listener.accept()
    client.settimeout(30)
    return client, server


def read_all(client):
    data = b""
    while True:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            return data.decode()
        if not piece:
            return data.decode()
        data += piece
