# SPDX-License-Identifier: BSD-2-Clause
"""Single connections and packets from a world's namespaces, and a server for claimed sockets."""
import ctypes
import ipaddress
import os
import select
import socket
import threading

from .world import CLIENT_V4, CLIENT_V6

_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
REFUSED, SILENT = "refused", "silent"


def in_namespace(name, function):
    """Runs function() in a thread of its own that is in the namespace; sockets stay in theirs."""
    result = []

    def enter():
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {name}")
        finally:
            os.close(fd)
        result.append(function())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return result[0]


def family_of(address):
    return socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6


def connect(world, address, port=80, source=None, timeout=10, kind=socket.SOCK_STREAM):
    """A socket of the client's, connected (UDP too, so that ICMP errors are seen)."""
    made = in_namespace(world.client, lambda: socket.socket(family_of(address), kind))
    try:
        made.settimeout(timeout)
        made.bind((source or (CLIENT_V4 if made.family == socket.AF_INET else CLIENT_V6), 0))
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def ask(world, address, port=80, source=None, timeout=10, kind=socket.SOCK_STREAM):
    """What an Answers server there says; REFUSED or SILENT (within the timeout) where there is none."""
    try:
        with connect(world, address, port, source, timeout, kind) as connection:
            connection.send(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(4096).decode().split("\r\n\r\n")[1]
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return SILENT


def ask_udp(world, address, port=53, **options):
    return ask(world, address, port, kind=socket.SOCK_DGRAM, **options)


class Answers:
    """Answers each connection, or datagram, with a page that is the given text."""

    def __init__(self, sock, text):
        self.sock, self.page, self.count = sock, f"HTTP/1.0 200 OK\r\n\r\n{text}".encode(), 0
        self.waker, self.wake = socket.socketpair()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        sock.setblocking(False)
        self.thread.start()

    def _serve(self):
        poll = select.poll()
        for sock in self.sock, self.waker:
            poll.register(sock, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self.waker.fileno() in ready:
                return
            try:
                self._answer()
            except OSError:
                pass  # another holder of the socket took it, or the client went away
            except ValueError:
                return

    def _answer(self):
        if self.sock.type == socket.SOCK_DGRAM:
            _, peer = self.sock.recvfrom(4096)
            self.count += 1
            self.sock.sendto(self.page, peer)
        else:
            connection, _ = self.sock.accept()
            with connection:
                connection.settimeout(2)
                connection.recv(4096)
                self.count += 1
                connection.sendall(self.page)

    def stop(self):
        """Stops answering; the socket stays open."""
        self.wake.send(b"x")
        self.thread.join()
        self.wake.close()
        self.waker.close()


def host_server(world, address, port, text, kind=socket.SOCK_STREAM):
    """A server of the host's own, which knows nothing of socketbox."""
    made = in_namespace(world.host, lambda: socket.socket(family_of(address), kind))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return Answers(made, text)
