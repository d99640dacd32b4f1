# SPDX-License-Identifier: BSD-2-Clause
"""The daemon short of something for a while: it waits, says so once, does not spin, and goes on when there is some
again. What its clients lose is what could not be kept."""
import errno
import os
import socket
import struct
import time

import pytest

from support import faults, paths
from support.control import Control, Refused
from support.faults import Faults
from support.load import Load, lost
from support.process import until
from support.traffic import Answers, ask, connect, host_server, in_namespace
from support.world import V4, V6

SERVE = "dd bs=4096 count=1 >/dev/null 2>&1; printf 'HTTP/1.0 200 OK\\r\\n\\r\\nserved'"
EVERYTHING = faults.MEMORY | faults.DESCRIPTORS | faults.SOCKETS | faults.MESSAGES | faults.BPF | faults.EVENTS
PORTS = {"kept": 90, "handed": 82, "started": 83, "relayed": 84}


def config(path, exec_more=None, relay_more=None):
    exec_settings = {"command": ["/bin/sh", "-c", SERVE], "cgroup": "none", "log": "failures"}
    return {"services": {"kept": {"hold": "60s", "getsocks": f"{path}.getsocks"}, "a": {"hold": "0s"},
                         "handed": {"handoff": {"path": str(path), "hold": "30s"}},
                         "started": {"exec": {**exec_settings, **(exec_more or {})}},
                         "relayed": {"relay": {"to": f"{V4}:9000", **(relay_more or {})}}},
            "routes": [{"to": [V4, V6], "port": 80, "service": "a"},
                       *({"to": [V4, V6], "port": port, "service": name} for name, port in PORTS.items())]}


class Subject:
    """A daemon with a service of every delivery, in front of servers that work."""

    def __init__(self, world, daemon, tmp_path, backend=True, **more):
        self.world = world
        self.path = path = tmp_path / "handed.sock"
        self.faults = Faults(tmp_path / "faults")
        world.start([paths.RECEIVER, path, "served"], "receiver")
        self.backend = host_server(world, V4, 9000, "served") if backend else None
        until(path.exists, what="the receiver binds")
        self.daemon = daemon(config(path, **more), prefix=self.faults.prefix)
        self.process = self.daemon.process
        self.claimant = Control(self.daemon, "kept")
        self.kept = Answers(self.claimant.claim("::", PORTS["kept"]), "served")

    def all_serve(self):
        return all(self.serves(port) for port in PORTS.values())

    def serves(self, port):
        try:
            return "served" in ask(self.world, V6, port, timeout=15)
        except (ConnectionError, IndexError):
            return False

    def loads(self):
        return {name: Load(self.world, V6, port=port, count=20, concurrency=20, expect="served")
                for name, port in PORTS.items()}


@pytest.fixture
def subject(world, daemon, tmp_path):
    made = Subject(world, daemon, tmp_path)
    yield made
    made.backend.stop()
    made.kept.stop()


def try_claim(subject):
    """None, or why not. It is answered in any case, or the connection ends."""
    try:
        control = Control(subject.daemon, "a")
    except (OSError, AssertionError) as error:
        return error
    try:
        Answers(control.claim("::", 80), "claimed").stop()
        return None
    except (OSError, AssertionError) as error:
        return error
    finally:
        control.close()
        control.channel.close()


@pytest.mark.parametrize("kinds,error,keeps", [
    (faults.DESCRIPTORS, errno.EMFILE, True),
    (faults.DESCRIPTORS, errno.ENFILE, True),
    (faults.MESSAGES | faults.SOCKETS, errno.ENOBUFS, False),
    (faults.MEMORY, errno.ENOMEM, False),
    (faults.EVENTS, errno.ENOSPC, False),
    (EVERYTHING, errno.ENOMEM, False),
], ids=["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "no-watches", "everything"])
def test_a_shortage(subject, kinds, error, keeps):
    """keeps: then nothing is lost, since what comes waits in the kernel."""
    assert subject.all_serve()
    descriptors = len(os.listdir(f"/proc/{subject.process.pid}/fd"))
    with subject.faults.armed(kinds, error):
        loads = subject.loads()
        time.sleep(1)
        before = subject.process.cpu_seconds()
        time.sleep(2)
        assert subject.process.cpu_seconds() - before < 0.5
        assert subject.faults.failed
        assert ask(subject.world, V6, PORTS["kept"], timeout=15) == "served"
    results = {name: load.result() for name, load in loads.items()}
    assert lost(results["kept"]) == {}
    for name, result in results.items():
        assert not result["timeout"], (name, result)
        assert not keeps or lost(result) == {}, name
    assert subject.process.running()
    until(subject.all_serve, timeout=30, what="all are served again")
    until(lambda: try_claim(subject) is None, what="claims are given again")
    until(lambda: len(os.listdir(f"/proc/{subject.process.pid}/fd")) <= descriptors + 2, what="nothing is left open")
    lines = subject.process.log().splitlines()
    assert all(lines.count(line) <= 5 for line in lines), lines
    assert len(lines) < 100, lines


def test_control_connections_wait_for_descriptors(subject):
    with subject.faults.armed(faults.DESCRIPTORS, errno.EMFILE):
        waiting = [Control(subject.daemon) for _ in range(50)]
        for control in waiting:
            control.send(b"x" * 16)
        before = subject.process.cpu_seconds()
        time.sleep(2)
        assert subject.process.cpu_seconds() - before < 0.5
    assert all(control.receive() for control in waiting)
    assert subject.process.log().count("control connections wait: accept: Too many open files") == 1
    assert "control connections are accepted again" in subject.process.log()


def test_getsocks_waits_for_descriptors(subject):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        with subject.faults.armed(faults.DESCRIPTORS, errno.EMFILE):
            client.connect(f"{subject.path}.getsocks")
            client.sendall(b"_getsocks\n")
            time.sleep(0.5)
            before = subject.process.cpu_seconds()
            time.sleep(2)
            assert subject.process.cpu_seconds() - before < 0.5
        assert struct.unpack("=i", client.recv(4))[0] == 2


def test_a_full_socket_map(subject):
    with subject.faults.armed(faults.BPF, errno.E2BIG):
        refused = try_claim(subject)
    assert isinstance(refused, Refused) and refused.errno == errno.E2BIG
    assert "the socket map is full" in refused.strerror
    assert subject.daemon.claims("a") == []
    assert try_claim(subject) is None
    assert subject.all_serve()


def test_the_wall_clock_jumps(world, daemon, tmp_path):
    """Neither forward nor back does it change what is timed."""
    silent = in_namespace(world.host, lambda: socket.create_server((V4, 9000)))
    subject = Subject(world, daemon, tmp_path, backend=False, relay_more={"idle-timeout": "4s"},
                      exec_more={"command": ["/bin/sleep", "20"], "max-time": "4s"})
    subject.claimant.close()  # from here it is held
    subject.claimant.channel.close()
    until(lambda: subject.daemon.claims("kept")[0]["state"] == "held", what="it is held")
    connections = [connect(world, V6, PORTS[name], timeout=15) for name in ("relayed", "started")]
    began = time.monotonic()
    for seconds in (86400 * 365, -86400 * 365, 3600):
        subject.faults.shift_clock(seconds)
        before = subject.process.cpu_seconds()
        time.sleep(1)
        assert subject.process.cpu_seconds() - before < 0.3
        [claim] = subject.daemon.claims("kept")
        assert claim["state"] == "held" and 30000 < claim["hold_left_ms"] <= 60000
    for connection in connections:
        with connection:
            assert ended(connection)
            assert 3.5 < time.monotonic() - began < 12
    status = {service["name"]: service for service in subject.daemon.status()["services"]}
    assert status["relayed"]["relay"]["idle"] == 1
    until(lambda: "has run for max-time, is ended" in subject.process.log(), what="the program is ended")
    subject.kept.stop()
    silent.close()


def ended(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


SLOW = "import os, time; os.read(0, 4096); time.sleep(1); print('HTTP/1.0 200 OK\\r\\n\\r\\nserved', end='')"


def test_no_room_for_processes(world, daemon):
    """A user who may have no more processes: connections wait until some end."""
    user = 61000 + os.getpid() % 4000  # nobody's
    started = daemon({"services": {"a": {"exec": {"command": ["/usr/bin/python3", "-c", SLOW], "user": str(user),
                                                  "group": str(user), "rlimit": {"nproc": 2}}}},
                      "routes": [{"to": V6, "port": 80, "service": "a"}]})
    load = Load(world, V6, count=8, concurrency=8, expect="served")
    until(lambda: "cannot start programs now, connections wait" in started.process.log(), what="they are too many")
    before = started.process.cpu_seconds()
    time.sleep(1)
    assert started.process.cpu_seconds() - before < 0.4
    result = load.result()
    assert (result["ok"], lost(result)) == (8, {})
    assert started.process.log().count("connections wait") <= 8
    assert "programs can be started again" in started.process.log()


def test_a_full_backlog(world, daemon, tmp_path):
    """More clients than the kernel's queue and the daemon's hold: TCP tries again, and all are served."""
    world.run(["sysctl", "-q", "-w", "net.core.somaxconn=8"], netns=world.host)
    path = tmp_path / "handed.sock"
    settings = config(path)
    settings["services"]["handed"]["handoff"]["queue"] = 8
    started = daemon(settings)
    load = Load(world, V6, port=82, count=30, concurrency=30, expect="served")
    time.sleep(1)
    before = started.process.cpu_seconds()
    time.sleep(1)
    assert started.process.cpu_seconds() - before < 0.3
    world.start([paths.RECEIVER, path, "served"], "receiver")
    result = load.result()
    assert (result["ok"], lost(result)) == (30, {})


def test_a_socket_that_is_shut_down_without_a_descriptor_for_another(world, daemon):
    """It is replaced with the next claim. Until then the daemon rests, where it wrote a line in every turn."""
    started = daemon({"services": {"a": {}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    claimant = Control(started, "a")
    listener = claimant.claim(V6)
    pid = started.process.pid
    before = int(open(f"/proc/{pid}/schedstat", encoding="ascii").read().split()[0])
    world.run(["prlimit", f"--pid={pid}", "--nofile=3:4096"])  # what is open stays open
    listener.shutdown(socket.SHUT_RDWR)
    until(lambda: "replacing a socket that was shut down" in started.process.log(), what="the daemon has noticed")
    for _ in range(50):
        with pytest.raises(Refused):
            claimant.json()
    assert started.process.log().count("replacing a socket") <= 2
    assert int(open(f"/proc/{pid}/schedstat", encoding="ascii").read().split()[0]) - before < 1_000_000_000
    world.run(["prlimit", f"--pid={pid}", "--nofile=4096:4096"])
    Answers(claimant.claim(V6), "again")
    assert ask(world, V6) == "again"
