# SPDX-License-Identifier: BSD-2-Clause
"""A client of the control protocol (docs/protocol.md) that can also be a bad one."""
import collections
import contextlib
import ipaddress
import json
import os
import socket
import struct
import time

MAGIC, VERSION = 0x31584253, 1
HELLO, CLAIM, REGISTER, STATUS, EXPLAIN, RELOAD, DESTINATION, RECEIVE, DRAIN, TURNS = range(1, 11)
WELCOME, CLAIMED, TEXT, ERROR = 0x81, 0x82, 0x84, 0xFF
SIZES = {HELLO: 80, CLAIM: 48, REGISTER: 48, STATUS: 16, EXPLAIN: 56, RELOAD: 16, DESTINATION: 16, RECEIVE: 24,
         DRAIN: 88, TURNS: 16}
V6ONLY, REUSEPORT, GRANTS = 1, 2, 4
TCP, UDP, MPTCP = socket.IPPROTO_TCP, socket.IPPROTO_UDP, 262

Answer = collections.namedtuple("Answer", "kind request body fds")


class Refused(OSError):
    """An ERROR answer: errno and text are the daemon's."""


def packed(address):
    """An address in the protocol's 16 bytes."""
    parsed = ipaddress.ip_address(address)
    return parsed.packed if parsed.version == 6 else bytes(10) + b"\xff\xff" + parsed.packed


def header(kind, length, request=1, magic=MAGIC, version=VERSION):
    return struct.pack("=IHHII", magic, version, kind, length, request)


def message(kind, body=b""):
    return header(kind, 16 + len(body)) + body


def claim_message(address, port, family=None, protocol=TCP, flags=0, kind=CLAIM):
    family = family or ipaddress.ip_address(address).version
    return message(kind, struct.pack("=16sHBxIII", packed(address), port, family, protocol, flags, 0))


@contextlib.contextmanager
def as_user(uid, gid=None, groups=()):
    """Connections made meanwhile are this user's."""
    before = os.geteuid(), os.getegid(), os.getgroups()
    os.setgroups(groups)
    os.setegid(uid if gid is None else gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])
        os.setgroups(before[2])


class Control:
    """One connection. A claimed socket is in .socket, blocking with a timeout."""

    def __init__(self, daemon, service=None):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Not settimeout, with which connect fails where the daemon is behind.
        self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 10, 0))
        self.channel.connect(str(daemon.control))
        self.channel.settimeout(10)
        self.socket = None
        if service:
            self.hello(service)

    def send(self, data, fds=()):
        socket.send_fds(self.channel, [data], list(fds))

    def receive(self):
        """The next answer, None if the daemon has closed the connection."""
        try:
            data, fds, _, _ = socket.recv_fds(self.channel, 4096, 4)
        except ConnectionResetError:
            return None
        if not data:
            return None
        _, _, kind, length, request = struct.unpack_from("=IHHII", data)
        assert length == len(data)
        return Answer(kind, request, data[16:], fds)

    def ask(self, data, fds=()):
        self.send(data, fds)
        answer = self.receive()
        assert answer, "the daemon closed the connection"
        if answer.kind == ERROR:
            code, _, text = struct.unpack("=iI1024s", answer.body)
            raise Refused(code, text.split(b"\0")[0].decode())
        return answer

    def hello(self, service):
        answer = self.ask(message(HELLO, struct.pack("=64s", service.encode())))
        hold_ms, count = struct.unpack("=II", answer.body)
        with os.fdopen(answer.fds[0], "rb") as file:
            data = file.read()
        assert len(data) == 28 * count
        return hold_ms, [struct.unpack_from("=16sBBBxHHHxx", data, 28 * i) for i in range(count)]

    def claim(self, address, port=80, **fields):
        """Claims, and returns the socket; .cookie, .bound_port and .shared tell the rest."""
        answer = self.ask(claim_message(address, port, **fields))
        self._claimed(answer)
        self.socket = socket.socket(fileno=answer.fds[0])
        self.socket.settimeout(5)
        return self.socket

    def grant(self, address, port=0, **fields):
        """Asks for what a grant allows, and returns the socket."""
        answer = self.ask(claim_message(address, port, flags=GRANTS, **fields))
        self._claimed(answer)
        made = socket.socket(fileno=answer.fds[0])
        made.settimeout(5)
        return made

    def register(self, address, port=80, fds=(), **fields):
        self._claimed(self.ask(claim_message(address, port, kind=REGISTER, **fields), fds))

    def receive_connections(self, kind):
        """The socket of this type on which handed connections come."""
        return socket.socket(fileno=self.ask(message(RECEIVE, struct.pack("=II", kind, 0))).fds[0])

    def _claimed(self, answer):
        assert answer.kind == CLAIMED
        self.cookie, self.bound, self.bound_port, self.shared, self.granted = struct.unpack("=Q16sHHI", answer.body)

    def json(self, kind=STATUS, body=b""):
        answer = self.ask(message(kind, body))
        with os.fdopen(answer.fds[0], "rb") as file:
            return json.load(file)

    def close(self):
        """Ends the claim and closes the socket, as the end of a service does."""
        if self.socket:
            self.socket.close()
        self.channel.close()


def open_fds(pid):
    """How many descriptors the process has open, once it has dealt with clients that have just left."""
    before, now = None, len(os.listdir(f"/proc/{pid}/fd"))
    while now != before:
        time.sleep(0.2)
        before, now = now, len(os.listdir(f"/proc/{pid}/fd"))
    return now
