# SPDX-License-Identifier: BSD-2-Clause
"""The "A" protocol as its specification reads, written apart from the library: one byte and exactly one connected
stream socket in one message on a Unix datagram socket."""
import os
import socket


def send(path, connection, timeout=10):
    """Hands the connection over, waiting for room in the receiver's queue; it stays the caller's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout)
        channel.connect(str(path))
        socket.send_fds(channel, [b"A"], [connection.fileno()])


class Receiver:
    """A receiver at a path."""

    def __init__(self, path, timeout=10):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.settimeout(timeout)
        self.channel.bind(str(path))

    def receive(self):
        """The next connection. What is no connected stream socket is closed and passed over, as are further descriptors."""
        while True:
            _, fds, _, _ = socket.recv_fds(self.channel, 1, 16)
            for extra in fds[1:]:
                os.close(extra)
            if not fds:
                continue
            received = socket.socket(fileno=fds[0])
            if received.type == socket.SOCK_STREAM:
                return received
            received.close()


def tcp_pair(family=socket.AF_INET, address=None):
    """A client's and a server's end of a TCP connection over loopback."""
    with socket.create_server((address or ("127.0.0.1" if family == socket.AF_INET else "::1"), 0),
                              family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
    client.settimeout(10)
    return client, server
