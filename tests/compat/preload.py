# SPDX-License-Identifier: BSD-2-Clause
"""Servers under libsocketbox-preload.so in an empty network namespace, fed over the "A" protocol by a small program on
the host (support/feeder.c), with the checks of compat/server.py."""
import os
import signal
import time

import pytest

from compat.server import CONCURRENCY, check_page, check_parallel
from support import paths
from support.load import Load, lost
from support.preload import Directory
from support.process import until
from support.world import V4, V6


class Preloaded:
    """A server that is started with LD_PRELOAD by hand. Ports are those that it binds on wildcards."""

    def __init__(self, world, directory, ports=(80,), env=None, mapped=False):
        self.world, self.directory, self.ports = world, directory, ports
        self.socket = f"{directory}/_@SB_.sock"
        self.variables = {
            "LD_PRELOAD": str(paths.PRELOAD), "SOCKETBOX_PRELOAD_SOCKET": self.socket,
            "SOCKETBOX_PRELOAD_PORTS": ",".join(map(str, ports)),
            "SOCKETBOX_PRELOAD_ADDRESSES": f"{V4},{V6}", **(env or {})}
        self.mapped = mapped  # IPv4 comes on AF_INET6 sockets, as with `ipv4: mapped`
        self.process, self.stop_command = None, None

    def path(self, port):
        """Where the listener of a port receives."""
        return self.directory / f"{port:05}.sock"

    def feed(self, ports=None, paths_of=None):
        """Starts the feeder for both families of the ports; paths_of names other receivers than the service's."""
        words = []
        for port in ports or self.ports:
            for address in (f"mapped:{V4}" if self.mapped else V4, V6):
                words += [address, port, (paths_of or {}).get(port, self.path(port))]
        feeder = self.world.start([paths.FEEDER, *words], "feeder", netns=self.world.host)
        until(lambda: "feeding" in feeder.log(), what="the feeder listens")

    def start(self, command, prefix=(), stop_command=None):
        """Starts the server in a namespace that holds nothing but lo. Without a stop command, a signal to the process that is
        started ends it."""
        self.stop_command = stop_command
        words = [f"{name}={value}" for name, value in self.variables.items()]
        self.command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *prefix, "env", *words,
                        *command]
        self.process = self.world.start(self.command, "server", env=dict(os.environ))

    def log(self):
        return self.process.log()

    def ready(self, url, timeout=30):
        def answers():
            if not self.process.running():
                raise AssertionError(f"the server ended with {self.process.popen.returncode}: {self.log()}")
            return self.world.curl(url, "-k", check=False)
        return until(answers, timeout, f"the server answers on {url} ({self.log()})")

    def stop(self, number=signal.SIGTERM):
        if self.stop_command and self.process.running():
            self.world.run(self.stop_command)
            self.process.wait()
        elif self.process:
            self.process.stop(number, timeout=20)

    def restart(self, number=signal.SIGTERM):
        self.stop(number)
        self.process = self.world.start(self.command, "server", env=dict(os.environ))


@pytest.fixture
def preloaded(world):
    """Makes servers under the library: preloaded(**options) -> Preloaded."""
    made = []

    def make(**options):
        made.append(Preloaded(world, directory, **options))
        return made[-1]

    with Directory() as directory:
        yield make
        for server in made:
            server.stop()


def check_restart(world, server, number=signal.SIGTERM):
    """Stops and starts the server under load: nobody is refused. What the old one had in its queue ends with it."""
    loads = [Load(world, address, seconds=90, concurrency=CONCURRENCY, expect="client=") for address in (V4, V6)]
    until(lambda: world.curl(f"http://{V4}/", check=False))
    server.restart(number)
    server.ready(f"http://[{V6}]/")
    time.sleep(1)
    for load in loads:
        load.stop()
    for result in [load.result() for load in loads]:
        assert result["ok"] > 20, result
        assert lost(result, cut_short=2 * CONCURRENCY) == {}


def check_all(world, server, command, restart=signal.SIGTERM, addresses=check_page, feed=True, **options):
    """Feeds (unless that is done) and starts the server, and makes the four checks."""
    if feed:
        server.feed()
    server.start(command, **options)
    server.ready(f"http://{V4}/")
    server.ready(f"http://[{V6}]/")
    addresses(world, server)
    check_parallel(world)
    check_restart(world, server, restart)
