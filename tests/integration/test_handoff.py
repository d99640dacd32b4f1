# SPDX-License-Identifier: BSD-2-Clause
"""Handoff: accepted connections go over a Unix socket to whoever receives there, and none is lost."""
import contextlib
import os
import signal
import socket
import time

import pytest

from support import paths
from support.a_protocol import Receiver as PathReceiver
from support.load import Load, lost
from support.process import until
from support.control import Control, Refused
from support.traffic import REFUSED, ask, connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

pytestmark = pytest.mark.both_engines


def config_of(service):
    return {"services": {"mail": service}, "routes": [{"to": [V4, V6], "port": [80, 81], "service": "mail"}]}


def config(path, more="", routes=""):
    return f"""
services:
  mail: {{handoff: {{path: {path}, hold: 3s}}{more}}}
routes:
  - {{to: ["{V4}", "{V6}"], port: [80, 81], service: mail}}
{routes}"""


class Receiver:
    """tests/support/receiver.c at a path."""

    def __init__(self, world, path, *words, text="", name="receiver"):
        self.path, self.text = path, text
        path.unlink(missing_ok=True)
        self.process = world.start([paths.RECEIVER, *words, path, text], name)
        until(path.exists, what="the receiver binds")

    def stop(self, number=signal.SIGKILL):
        self.process.stop(number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mail.sock"


def handoff(daemon):
    service = next(s for s in daemon.status()["services"] if s["name"] == "mail")
    return service["handoff"]


def test_the_receiver_sees_both_addresses(world, daemon, path):
    Receiver(world, path)
    daemon(config(path))
    assert ask(world, V4) == f"client={CLIENT_V4} server={V4} \n"
    assert ask(world, V6, 81) == f"client={CLIENT_V6} server={V6} \n"


def test_ipv4_can_be_mapped(world, daemon, path):
    Receiver(world, path)
    daemon(config(path, more=", ipv4: mapped"))
    assert ask(world, V4) == f"client=::ffff:{CLIENT_V4} server=::ffff:{V4} \n"
    assert ask(world, V6) == f"client={CLIENT_V6} server={V6} \n"


def test_a_path_for_each_port(world, daemon, tmp_path):
    for port in (80, 81):
        Receiver(world, tmp_path / f"mail.{port:05}", text=f"at {port}", name=f"receiver{port}")
    daemon(config(tmp_path / "mail._@SB_"))
    for port in (80, 81):
        assert ask(world, V6, port).endswith(f"at {port}\n")


def test_connections_wait_for_a_receiver_and_are_refused_after_hold(world, daemon, path):
    started = daemon(config(path))
    load = Load(world, V6, count=50, concurrency=50, expect="client=")
    time.sleep(1)
    receiver = Receiver(world, path)
    assert lost(load.result()) == {}
    receiver.stop()
    load = Load(world, V6, count=5, concurrency=5)
    result = load.result()
    assert result["reset"] == 5
    counts = handoff(started)
    assert (counts["delivered"], counts["refused"], counts["destinations"][0]["down"]) == (50, 5, True)
    Receiver(world, path)
    assert until(lambda: "client=" in ask(world, V6), what="the receiver is found again")
    said = started.process.log()
    assert said.count("a receiver is back") == 1 and "socketboxd: \n" not in said


def test_thousands_at_once_into_a_receiver_that_is_stopped(world, daemon, path):
    receiver = Receiver(world, path)
    daemon(config(path))
    assert ask(world, V6)
    receiver.process.pause()
    load = Load(world, V6, count=5000, concurrency=5000, expect="client=")
    time.sleep(5)
    receiver.process.send(signal.SIGCONT)
    result = load.result()
    assert (result["ok"], lost(result)) == (5000, {})


def test_a_receiver_that_is_killed_leaves_its_queue_to_the_next(world, daemon, path):
    receiver = Receiver(world, path, text="first")
    started = daemon(config(path))
    assert ask(world, V6)
    receiver.process.pause()
    load = Load(world, V6, count=200, concurrency=200, expect="second")
    until(lambda: handoff(started)["destinations"][0]["unacknowledged"] > 5, what="the queue fills")
    receiver.stop()
    Receiver(world, path, text="second", name="second")
    result = load.result()
    assert (result["ok"], lost(result)) == (200, {})
    counts = handoff(started)
    assert counts["redelivered"] > 5 and counts["lost"] == 0
    until(lambda: not handoff(started)["destinations"][0]["unacknowledged"], what="all are taken")


def test_a_receiver_is_replaced_by_rename(world, daemon, path):
    old = Receiver(world, path, text="old")
    daemon(config(path))
    load = Load(world, V6, seconds=4, concurrency=16, expect="client=")
    for number in range(5):
        time.sleep(0.5)
        new = world.start([paths.RECEIVER, "--rename", path, f"new {number}"], f"new{number}")
        until(lambda number=number: ask(world, V4).endswith(f"new {number}\n"), what="the new one receives")
        time.sleep(0.3)  # the old one answers what it took
        old.stop()
        old = new
    assert lost(load.result()) == {}


def test_a_thousand_clients(world, daemon, path):
    Receiver(world, path)
    daemon(config(path))
    loads = [Load(world, address, seconds=8, concurrency=500, expect="client=") for address in (V4, V6)]
    for load in loads:
        result = load.result()
        assert result["ok"] > 1000
        assert lost(result) == {}


def test_one_client_after_another(world, daemon, path):
    """The client reads up to the end, which comes when the daemon has let go of the connection too: at once, although
    nothing comes later that wakes the daemon. Each has a CPU: the daemon looks while the receiver is still taking."""
    receiver = Receiver(world, path)
    served = daemon(config(path))
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(receiver.process.pid, cpus[:1])
    os.sched_setaffinity(served.process.pid, cpus[-1:])
    result = Load(world, V6, count=2000, concurrency=1, expect="client=").result()
    assert (result["ok"], lost(result)) == (2000, {})


def test_few_descriptors(world, daemon, path):
    """The daemon waits for descriptors; it neither ends nor spins, and goes on when there are some."""
    receiver = Receiver(world, path)
    started = daemon(config(path), prefix=("prlimit", "--nofile=64:64"))
    assert ask(world, V6)
    receiver.process.pause()
    load = Load(world, V6, count=300, concurrency=300, expect="client=")
    until(lambda: "new connections wait" in started.process.log(), what="descriptors run out")
    before = cpu_seconds(started.process.pid)
    time.sleep(2)
    assert cpu_seconds(started.process.pid) - before < 0.5
    receiver.process.send(signal.SIGCONT)
    result = load.result()
    assert (result["ok"], lost(result)) == (300, {})
    assert started.process.log().count("new connections wait") < 20
    assert "new connections are accepted again" in started.process.log()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_reloads_lose_nothing(world, daemon, path):
    Receiver(world, path)
    started = daemon(config(path))
    load = Load(world, V6, seconds=4, concurrency=16, expect="client=")
    number = 0
    while load.running():
        number += 1
        started.reload(config(path, routes=f'  - {{port: {1000 + number}, service: mail}}\n'))
    assert lost(load.result()) == {}
    assert number > 10


def test_a_handed_service_has_nothing_to_claim(world, daemon, path):
    started = daemon(config(path))
    result = started.cli("run", "mail", "--", "true", check=False)
    assert result.returncode == 0
    with pytest.raises(Refused, match="no socket to claim"):
        Control(started, "mail").claim(V4, 80)
    assert ask(world, V4, 82) == REFUSED


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_receivers_opened_over_the_control_socket(world, daemon, kind):
    """Two of them share; when one ends without having taken what it was sent, the other gets it."""
    started = daemon(config_of({"handoff": {"hold": "3s"}}))
    controls = [Control(started, "mail") for _ in range(2)]
    first, second = [control.receive_connections(kind) for control in controls]
    load = Load(world, V6, count=40, concurrency=40, expect="second")
    until(lambda: handoff(started)["destinations"][0]["unacknowledged"] >= 20, what="both have some")
    first.close()
    served = 0
    second.settimeout(5)
    while served < 40:
        data, fds, _, _ = socket.recv_fds(second, 1, 2)
        assert len(data) == 1 and len(fds) == 1
        with socket.socket(fileno=fds[0]) as connection:
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nsecond")
        served += 1
    assert lost(load.result()) == {}
    assert handoff(started)["redelivered"] > 0
    second.close()
    until(lambda: handoff(started)["destinations"][0]["receivers"] == 0 or ask_closed(world), what="both are gone")


def ask_closed(world):
    """A receiver without anything unacknowledged is found out by the next connection."""
    with contextlib.suppress(OSError):
        connect(world, V6).close()


def test_a_port_without_a_receiver_stops_no_other(world, daemon, tmp_path):
    """More connections than may wait for one port of a path with a port in it."""
    daemon({"services": {"a": {"handoff": {"path": str(tmp_path / "receiver-_@SB_.sock"), "hold": "1m"}}},
            "routes": [{"to": V6, "port": "8001-8002", "service": "a"}]})
    receiver = PathReceiver(tmp_path / "receiver-08001.sock")
    waiting = []
    for _ in range(1100):
        with contextlib.suppress(ConnectionError):  # what there is no room for is refused
            waiting.append(connect(world, V6, 8002))
    assert len(waiting) >= 1024
    with connect(world, V6, 8001):
        receiver.receive().close()
    for client in waiting:
        client.close()
