# SPDX-License-Identifier: BSD-2-Clause
"""The checks for programs that are started for each connection: by the daemon's `exec:`, or by `socketbox inetd`, which
the daemon's handoff feeds. In both cases the programs are in an empty network namespace."""
import os
import time
import types

from compat import streams
from compat.server import CONCURRENCY
from support import paths
from support.load import Load, lost
from support.process import until
from support.world import V4, V6


def net_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def empty_namespace(world, prefix=()):
    """The pid of a process in a network namespace of its own, and in whatever else the prefix enters."""
    process = world.start(["unshare", "--net", *prefix, "sleep", "infinity"], "namespace")

    def entered():
        assert process.running(), process.log()
        with open(f"/proc/{process.pid}/comm", encoding="ascii") as name:
            return name.read() == "sleep\n"
    until(entered, 30, "the namespace is made")
    return process.pid


def config(port, command, **settings):
    """The whole of a service that starts a program."""
    command = [str(word) for word in command]
    return {"services": {"program": {"exec": {"command": command, **settings}}},
            "routes": [{"to": [V4, V6], "port": port, "service": "program"}]}


class Executed:
    """A program for the connections of a port, by the daemon's exec. A machine's prefix gives it the machine's files;
    settings are those of `exec:`."""

    def __init__(self, world, daemon, port, command, prefix=(), **settings):
        self.world = world
        namespace = empty_namespace(world, prefix)
        if prefix:
            command = ["nsenter", "--target", namespace, "--mount", "--root", "--wd=/", *command]
        self.config = config(port, command, netns=str(namespace), **settings)
        self.daemon = daemon(self.config)
        self.process = self.daemon.process
        self.settings = self.config["services"]["program"]["exec"]

    @property
    def program(self):
        """The pid above all programs."""
        return self.process.pid

    def log(self):
        return self.process.log()

    def reload(self, number):
        self.settings["instances"] = 1000 + number
        self.daemon.reload(self.config)


class Inetd:
    """A program for the connections of a port, by `socketbox inetd` behind the daemon's handoff."""

    def __init__(self, world, daemon, port, command):
        self.world = world
        path = world.directory / "inetd.sock"
        self.process = world.start(["unshare", "--net", paths.CLI, "inetd", path, *command], "inetd")
        until(path.exists, what="socketbox inetd listens")
        self.config = {"services": {"program": {"handoff": {"path": str(path)}}},
                       "routes": [{"to": [V4, V6], "port": port, "service": "program"}]}
        self.daemon = daemon(self.config)

    @property
    def program(self):
        return self.process.pid

    def log(self):
        return self.process.log()

    def reload(self, number):
        self.config["services"]["program"]["handoff"]["queue"] = 1000 + number
        self.daemon.reload(self.config)


def check_descriptors(world, started, port, greeting=b""):
    """What the kernel says of both ends in the program."""
    streams.check_descriptors(world, types.SimpleNamespace(program=started.program), port, greeting)


def check_reload(world, started, exchange, at_least=20, greeted=False):
    """Reloads the daemon's configuration, with a change, while clients come: nobody is refused or reset."""
    loads = [Load(world, address, exchange.port, seconds=60, concurrency=CONCURRENCY, expect=exchange.expect,
                  request=exchange.request, greeted=greeted) for address in (V4, V6)]
    try:
        for number in range(4):
            time.sleep(0.7)
            started.reload(number)
        time.sleep(0.7)
    finally:
        for load in loads:
            load.stop()
    for result in [load.result() for load in loads]:
        assert result["ok"] > at_least
        assert lost(result) == {}
