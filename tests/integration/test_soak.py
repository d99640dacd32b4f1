# SPDX-License-Identifier: BSD-2-Clause
"""A million connections over all deliveries, while all that may change does: none is lost, and the daemon has at the
end what it had."""
import pathlib
import random
import re
import signal
import ssl
import time

import pytest

from support import paths
from support.control import open_fds
from support.fdstore import StoredDaemon
from support.launch import program
from support.load import Load, lost
from support.process import until
from support.traffic import ask
from support.world import CLIENT_V6, V4, V6

pytestmark = pytest.mark.kernel_engine

CLAIMED, HANDED, STARTED, RELAYED, NAMED = 8080, 80, 81, 82, 443
NAME = "soak.example"
PAGE = r'head -c 18 >/dev/null; printf "HTTP/1.0 200 OK\r\n\r\nstarted\n"'  # 18: the whole request
CONCURRENCY = 8  # fewer than a test program's backlog


def hello():
    """A ClientHello that asks for NAME."""
    out = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


class Soak:
    """A host with a service of each kind, and what may happen to it."""

    def __init__(self, world, service, directory):
        self.world, self.paths = world, {name: directory / f"{name}.sock" for name in ("mail", "named")}
        self.receivers = {name: self.receive(name) for name in self.paths}
        self.killed = 0  # receivers, each with at most one connection in hand
        self.changes = 0
        world.start([program("v6only"), "0"], "backend", netns=world.client)
        self.daemon = StoredDaemon(world, self.config())
        self.service = service(self.daemon, "a", [program("v6only"), "0"])
        self.service.ready(f"http://[{V6}]:{CLAIMED}/")
        for port in HANDED, STARTED, RELAYED:
            until(lambda port=port: ask(world, V6, port), what=f"port {port} answers")

    def config(self, more=0):
        handoff = {name: {"handoff": {"path": str(path), "hold": "20s"}} for name, path in self.paths.items()}
        routes = [{"to": [V4, V6], "port": CLAIMED, "service": "a"}, {"to": [V4, V6], "port": HANDED, "service": "mail"},
                  {"to": [V4, V6], "port": STARTED, "service": "page"},
                  {"to": [V4, V6], "port": RELAYED, "service": "legacy"},
                  {"to": [V4, V6], "port": NAMED, "sni": NAME, "service": "named"}]
        return {"services": {"a": {"hold": "20s"}, "legacy": {"relay": {"to": f"[{CLIENT_V6}]:{CLAIMED}"}},
                             "page": {"exec": {"command": ["/bin/sh", "-c", PAGE], "log": "failures"}}, **handoff},
                "routes": [{"to": V6, "port": 20000 + number, "refuse": True} for number in range(more)] + routes}

    def receive(self, name):
        process = self.world.start([paths.RECEIVER, self.paths[name], ""], name)
        until(self.paths[name].exists, what="the receiver binds")
        return process

    def kill_receiver(self):
        name = random.choice(list(self.paths))
        self.receivers[name].stop(signal.SIGKILL)
        self.paths[name].unlink()
        self.receivers[name] = self.receive(name)
        self.killed += 1

    def reload(self):
        self.daemon.reload(self.config(more=random.randrange(200)))

    def restart_service(self):
        self.service.restart()

    def upgrade(self):
        self.daemon.upgrade()

    def kill_daemon(self):
        self.daemon.restart()

    def loads(self, thousands):
        """So many thousand connections, to each kind of service its share."""
        def load(port, share, expect, request=None):
            return [Load(self.world, address, port=port, count=thousands * share, concurrency=CONCURRENCY // 2,
                         expect=expect, request=request) for address in (V4, V6)]
        return (load(CLAIMED, 250, "both") + load(HANDED, 120, "client=") + load(NAMED, 40, "client=", hello()) +
                load(RELAYED, 80, "both") + load(STARTED, 10, "started"))

    def meanwhile(self, loads, *changes):
        """Has one of the changes happen again and again until the loads are over: they lose nothing."""
        killed, count = self.killed, 0
        while any(load.running() for load in loads):
            random.choice(changes)()
            count += 1
            time.sleep(random.uniform(0, 0.3))
        killed = self.killed - killed
        results = [load.result() for load in loads]
        assert not any(lost(result, killed) for result in results), [lost(result, killed) for result in results]
        cut_short = [(result["reset"], result["closed"]) for result in results]
        assert sum(map(sum, cut_short)) <= killed, cut_short
        self.changes += count
        return sum(result["ok"] for result in results) + killed

    def settled(self):
        """What the daemon has once it has used each service: descriptors, and memory in KiB."""
        for port in CLAIMED, HANDED, STARTED, RELAYED:
            assert ask(self.world, V6, port, timeout=20)
        pid = self.daemon.process.pid
        until(lambda: not any(service.get("exec", {}).get("running") for service in self.daemon.status()["services"]))
        fds = until(lambda: open_fds(pid))
        memory = re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
        return fds, int(memory[1])


def test_a_million_connections(world, service, tmp_path):
    soak = Soak(world, service, tmp_path)
    done = soak.meanwhile(soak.loads(20), soak.reload, soak.restart_service, soak.kill_receiver)
    fds, memory = soak.settled()
    done += soak.meanwhile(soak.loads(580), soak.reload, soak.restart_service, soak.kill_receiver)
    fds_then, memory_then = soak.settled()
    assert fds_then == fds and memory_then <= memory + 1024
    soak.upgrade()
    fds, memory = soak.settled()
    done += soak.meanwhile(soak.loads(300), soak.reload, soak.restart_service, soak.kill_receiver, soak.upgrade)
    fds_then, memory_then = soak.settled()
    assert fds_then == fds and memory_then <= memory + 1024
    claims = [Load(world, address, port=CLAIMED, count=50_000, concurrency=CONCURRENCY, expect="both", pause=1)
              for address in (V4, V6)]
    done += soak.meanwhile(claims, soak.kill_daemon, soak.reload, soak.restart_service)
    assert done >= 1_000_000 and soak.changes > 20
