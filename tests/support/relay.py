# SPDX-License-Identifier: BSD-2-Clause
"""`socketbox relay` in a world, with backends and clients on the host's loopback."""
import json
import os
import re
import signal
import socket
import threading

from . import paths
from .process import until
from .traffic import in_namespace


class Relay:
    """A stand-alone relay in the host's namespace."""

    def __init__(self, world, *words, name="relay", prefix=(), ready=True, port=7000):
        self.world, self.port = world, port
        self.process = world.start([*prefix, paths.CLI, "relay", *words], name, netns=world.host)
        if ready:
            until(self.listens, what=f"the relay listens: {self.process.log()}")

    def listens(self):
        if not self.process.running():
            raise AssertionError(f"the relay ended: {self.process.log()}")
        return self.world.run(["ss", "-Hltn", f"sport = :{self.port}"], netns=self.world.host).stdout.strip()

    def log(self):
        return self.process.log()

    def report(self):
        """The counts, and a dictionary of the backends' counts under "backends"."""
        before = self.log().count("taken=")
        self.process.send(signal.SIGUSR1)
        until(lambda: self.log().count("taken=") > before and self.log().endswith("\n"))
        lines = self.log().splitlines()
        last = max(i for i, line in enumerate(lines) if "taken=" in line)
        report = {key: int(value) for key, value in re.findall(r"([\w-]+)=(\d+)", lines[last])}
        report["backends"] = {}
        for line in lines[last + 1:]:
            match = re.match(r"socketbox relay: backend (\S+) connections=(\d+) failures=(\d+)", line)
            if match:
                report["backends"][match[1]] = (int(match[2]), int(match[3]))
        return report

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])

    def processor_ticks(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def check_streams(result, count):
    """Of five kinds of connections, two end in a reset that the other end must see as one."""
    assert (result["example"], result["bad"], result["ended"]) == ("", 0, count)
    assert (result["resets"], result["ends"]) == (count * 2 // 5, count * 6 // 5)
    assert result["half_closed"] >= count * 2 // 5


def dial(world, port=7000, address="127.0.0.1", timeout=10, namespace=None):
    """A connection from the host's namespace, or another."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = in_namespace(namespace or world.host, lambda: socket.socket(family, socket.SOCK_STREAM))
    made.settimeout(timeout)
    try:
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


def listener(world, port, address="127.0.0.1", backlog=128, namespace=None):
    """A listening socket of the host's namespace, or another; a path is a Unix socket."""
    if address.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(address)
    else:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = in_namespace(namespace or world.host, lambda: socket.socket(family, socket.SOCK_STREAM))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    made.listen(backlog)
    made.settimeout(10)
    return made


class Named:
    """A backend that says its name, the peer's address, and the first line that it gets, to each connection."""

    def __init__(self, world, name, port, address="127.0.0.1", namespace=None):
        self.name, self.listener = name, listener(world, port, address, namespace=namespace)
        self.listener.settimeout(None)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection, peer), daemon=True).start()

    def _answer(self, connection, peer):
        with connection:
            connection.settimeout(10)
            try:
                line = connection.makefile("rb").readline().decode()
                connection.sendall(json.dumps({"name": self.name, "peer": peer[0] if peer else "", "line": line}).encode())
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):  # closing before what was sent is read would be a reset
                    pass
            except OSError:
                pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def ask(world, port=7000, address="127.0.0.1", line="hello\n", namespace=None):
    """What a Named backend says."""
    with dial(world, port, address, namespace=namespace) as connection:
        connection.sendall(line.encode())
        return json.load(connection.makefile("rb"))
