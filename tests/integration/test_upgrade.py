# SPDX-License-Identifier: BSD-2-Clause
"""The daemon killed, stopped and replaced under load, and claims cut short at each of their steps: no connection is
lost, and nothing is left behind."""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support import paths
from support.control import (CLAIM, REGISTER, REUSEPORT, UDP, Control, claim_message, message, open_fds)
from support.fdstore import StoredDaemon
from support.launch import program
from support.load import Load, lost
from support.process import until
from support.traffic import SILENT, Answers, ask, connect, host_server
from support.world import V4, V6, Daemon

pytestmark = pytest.mark.both_engines

CLAIMED, HANDED, STARTED = 8080, 80, 81
CONCURRENCY = 4
PAGE = r'head -c 18 >/dev/null; printf "HTTP/1.0 200 OK\r\n\r\nstarted\n"'  # 18: the whole request
TIMES = {"kernel": 4, "user": 20}  # loading the programs takes a busy machine seconds


def config(path, hold="30s", more=(), **handoff):
    """Service a is claimed, service mail is handed over, and for each connection to service page a program starts."""
    page = {"exec": {"command": ["/bin/sh", "-c", PAGE], "log": "failures"}}
    return {"services": {"a": {"hold": hold}, "page": page, "mail": {"handoff": {"path": str(path), "hold": "20s", **handoff}}},
            "routes": [{"to": [V4, V6], "port": CLAIMED, "service": "a"},
                       {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "a"},
                       {"to": [V4, V6], "port": STARTED, "service": "page"},
                       {"to": [V4, V6], "port": HANDED, "service": "mail"}, *more]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mail.sock"


@pytest.fixture
def stored(world, engine):
    """Starts a daemon that has a descriptor store."""
    return lambda config, **more: StoredDaemon(world, config, options=["--engine", engine], **more)


def receive(world, path):
    process = world.start([paths.RECEIVER, path, ""], "receiver")
    until(path.exists, what="the receiver binds")
    return process


def loads(world, port, expect, pause=10):
    """Connections all the time, but so few that the daemon can start beside them on a small machine."""
    return [Load(world, address, port=port, seconds=300, concurrency=CONCURRENCY, expect=expect, pause=pause)
            for address in (V4, V6)]


def all_loads(world):
    return loads(world, CLAIMED, "both") + loads(world, HANDED, "client=") + loads(world, STARTED, "started", pause=200)


def check(started, cut_short=0):
    """Ends the loads: none of their connections went wrong."""
    for load in started:
        load.stop()
    for load in started:
        result = load.result()
        assert result["ok"] > 5
        assert lost(result, cut_short) == {}


def stop_orderly(daemon):
    assert daemon.process.stop(signal.SIGTERM, timeout=60) == 0


def bpf_objects(daemon, routes):
    """How many links, programs and maps there are of this daemon; its tables are known by their number of routes."""
    def ask_bpftool(*words):
        return json.loads(subprocess.run(["bpftool", "-j", *words], capture_output=True, text=True, check=True).stdout)

    [pins] = (daemon.run_dir / "bpf").glob("v*")
    pinned = {ask_bpftool("map", "show", "pinned", str(pin))["id"] for pin in pins.iterdir()
              if pin.name not in ("link", "confinement")}
    programs = [program for program in ask_bpftool("prog") if pinned & set(program.get("map_ids", []))]
    links = [link for link in ask_bpftool("link") if link["prog_id"] in {program["id"] for program in programs}]
    maps = set().union(pinned, *(program["map_ids"] for program in programs))
    tables = [found for found in ask_bpftool("map")
              if found.get("name", "").startswith("socketbox_coun") and found["max_entries"] == routes]
    return {"links": len(links), "programs": len(programs), "maps": len(maps), "tables": len(tables)}


def test_killed_200_times_under_load(world, daemon, service, engine, path):
    """At random moments, most of them while it starts. BPF objects do not gather."""
    number = 1009
    routes = [{"port": 20000 + i, "to": V6, "service": "a"} for i in range(number - 4)]
    started = daemon(config(path, more=routes if engine == "kernel" else ()))
    claimed = service(started, "a", [program("v6only"), "0"])
    claimed.ready(f"http://[{V6}]:{CLAIMED}/")
    started.restart()
    if engine == "kernel":
        before = until(lambda: bpf_objects(started, number), what="bpftool")
    running = loads(world, CLAIMED, "both")
    chance = random.Random(6)
    for _ in range(200):
        started.kill()
        started.start(wait=False)
        time.sleep(chance.uniform(0, 0.1))
    started.restart()
    check(running)
    until(lambda: started.claims("a") and started.claims("a")[0]["claimants"], timeout=60,
          what="the launcher is back")
    if engine == "kernel":
        assert before["links"] == 1 + 9  # the engine's, and the confinement's
        until(lambda: bpf_objects(started, number) == before, timeout=30,
              what=f"{bpf_objects(started, number)} become {before}")


def test_restarts_with_a_descriptor_store_lose_nothing(world, stored, service, engine, path):
    receive(world, path)
    started = stored(config(path))
    service(started, "a", [program("v6only"), "0"]).ready(f"http://[{V6}]:{CLAIMED}/")
    names = started.store.names()
    running = all_loads(world)
    for _ in range(TIMES[engine]):
        time.sleep(0.1)
        stop_orderly(started)
        started.start()
    check(running)
    until(lambda: started.store.names() == names, what="the store has what it had")


def test_kills_with_a_descriptor_store_lose_only_what_was_in_hand(world, stored, engine, path):
    """What has been accepted and not passed on yet is in the daemon's hands, and nowhere else."""
    receive(world, path)
    started = stored(config(path))
    running = loads(world, HANDED, "client=")
    for _ in range(TIMES[engine]):
        time.sleep(0.1)
        started.restart()
    check(running, cut_short=TIMES[engine] * 2 * CONCURRENCY)


def test_what_waits_outlives_an_orderly_restart(world, stored, path):
    """Connections in the daemon's queue, and those in the queue of a receiver that then dies, in an old daemon or a
    new one."""
    receiver = receive(world, path)
    started = stored(config(path))
    assert ask(world, V6, HANDED)
    receiver.pause()
    load = Load(world, V6, port=HANDED, count=60, concurrency=60, expect="client=")

    def in_hand():
        [destination] = next(s for s in started.status()["services"] if s["name"] == "mail")["handoff"]["destinations"]
        return destination["waiting"] + destination["unacknowledged"]
    until(lambda: in_hand() == 60, what="all are in hand")
    for _ in range(3):
        stop_orderly(started)
        assert len(started.store.names("c.")) == 60
        started.start()
        assert in_hand() == 60
        assert not started.store.names("c."), "whoever has a connection is the only one"
    receiver.stop(signal.SIGKILL)
    path.unlink()
    receive(world, path)
    assert lost(load.result()) == {}


def test_a_client_hello_is_waited_for_across_restarts(world, stored, path):
    started = stored(config(path, more=[{"to": V6, "port": 443, "sni": "a.example", "service": "mail"},
                                        {"to": V6, "port": 443, "service": "mail"}]))
    receive(world, path)
    with connect(world, V6, 443, timeout=20) as client:
        until(lambda: started.status().get("peeking", 1), what="the daemon waits")
        time.sleep(0.3)
        stop_orderly(started)
        assert len(started.store.names("c.")) == 1
        started.start()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"client=" in client.recv(4096)


@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "reuseport"])
def test_a_held_socket_outlives_a_kill(world, stored, engine, path, flags):
    """Nobody claims it at that moment, so the daemon had the only copy."""
    if flags and engine == "user":
        flags = 0
    started = stored(config(path))
    first = Control(started, "a")
    first.claim("::", CLAIMED, flags=flags)
    first.close()
    until(lambda: started.claims("a")[0]["hold_left_ms"] > 0)
    waiting = [connect(world, address, CLAIMED) for address in (V4, V6)]
    for _ in range(3):
        started.restart()
        assert started.claims("a")[0]["backlog"] == 2
    second = Control(started, "a")
    Answers(second.claim("::", CLAIMED, flags=flags), "second")
    assert second.shared == 1
    for connection in waiting:
        connection.settimeout(10)
        connection.send(b"x")
        assert b"second" in connection.recv(100)


def test_a_single_socket_that_joins_a_group_leaves_the_store(world, stored, path):
    started = stored(config(path, hold=0))
    single = Control(started, "a")
    single.claim("::", CLAIMED).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    until(lambda: len(started.store.names("claim.")) == 1)
    udp = Control(started, "a")
    udp.claim("::", 53, protocol=UDP)
    until(lambda: len(started.store.names("claim.")) == 2)
    group = Control(started, "a")
    with contextlib.suppress(OSError):
        group.claim("::", CLAIMED, flags=REUSEPORT)
    for control in single, udp, group:
        control.close()
    until(lambda: not started.claims("a"))
    until(lambda: not started.store.names("claim."), what="the store is empty")


def test_what_leaves_the_store_is_not_in_the_way(world, stored, path):
    """The store goes by itself, so it may have a socket for a while longer than the daemon."""
    started = stored(config(path, hold=0))
    for flags in (0, REUSEPORT) * 15:
        control = claim(started, flags)
        control.close()
        until(lambda: not started.claims("a"))


def test_an_listener_that_no_route_needs_leaves_the_store(world, stored, path):
    started = stored(config(path))
    assert started.store.names("accept.")
    started.write({"services": {"a": {}}, "routes": []})
    started.restart()
    until(lambda: not started.store.names("accept."), what="the store is empty")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_an_opened_receiver_outlives_kills_and_upgrades(world, stored, path, kind):
    settings = config(path)
    settings["services"]["mail"]["handoff"] = {"hold": "20s"}
    started = stored(settings)
    receiver = Control(started, "mail").receive_connections(kind)
    receiver.settimeout(20)
    for change in (started.restart, started.upgrade, started.restart):
        change()
        with connect(world, V6, HANDED) as client:
            _, fds, _, _ = socket.recv_fds(receiver, 1, 2)
            with socket.socket(fileno=fds[0]) as connection:
                connection.sendall(b"taken")
            assert client.recv(100) == b"taken"
    receiver.close()
    with contextlib.suppress(OSError):
        connect(world, V6, HANDED).close()  # finds out
    until(lambda: not started.store.names("receiver."), what="the store is empty")


def used_fds(world, daemon):
    """How many descriptors the daemon has once it has used each of its services: it opens some only then."""
    for port in HANDED, STARTED:
        assert ask(world, V6, port, timeout=20) not in ("refused", SILENT)
    return settled_fds(daemon)


def test_upgrades_under_load_lose_nothing(world, daemon, service, engine, path):
    receive(world, path)
    started = daemon(config(path))
    service(started, "a", [program("v6only"), "0"]).ready(f"http://[{V6}]:{CLAIMED}/")
    started.upgrade()  # what an adopted engine has open is not what a new one has
    before = used_fds(world, started)
    running = all_loads(world)
    for _ in range(TIMES[engine]):
        started.upgrade()
    check(running)
    assert "is needed no more" not in started.process.log()
    until(lambda: started.claims("a")[0]["claimants"], timeout=60, what="the launcher is back")
    until(lambda: used_fds(world, started) == before, what="no descriptor is left over")


def test_a_program_that_cannot_start_is_not_become(world, engine, tmp_path, path):
    copy = tmp_path / "socketboxd"
    shutil.copy(paths.DAEMON, copy)
    receive(world, path)
    started = Daemon(world, config(path), options=["--engine", engine], program=copy)
    running = loads(world, HANDED, "client=")
    broken = [(b"\x7fELF not really", "Exec format error"), (b"#!/bin/sh\nexit 3\n", "exited with 3"),
              (b"#!/bin/sh\nkill -SEGV $$\n", "ended by signal 11"), (None, "No such file")]
    for number, (content, text) in enumerate(broken, 1):
        copy.unlink()
        if content:
            copy.write_bytes(content)
            copy.chmod(0o755)
        started.process.send(signal.SIGUSR2)
        until(lambda: started.process.log().count("upgrade refused") == number, timeout=60, what=text)
        assert text in started.process.log()
        assert started.status()["services"]
    # It passes the check, and cannot be executed all the same.
    copy.write_bytes(b'#!/bin/sh\nrm "$0"\nexit 0\n')
    copy.chmod(0o755)
    started.process.send(signal.SIGUSR2)
    until(lambda: started.process.log().count("upgrade refused") == len(broken) + 1, timeout=60, what="the refusal")
    check(running)
    shutil.copy(paths.DAEMON, copy)
    started.write("services: [")
    started.process.send(signal.SIGUSR2)
    until(lambda: started.process.log().count("upgrade refused") == len(broken) + 2, timeout=60, what="the refusal")
    started.write(config(path))
    started.upgrade()
    assert ask(world, V4, HANDED, timeout=20) not in ("refused", SILENT)


def greet(daemon):
    return Control(daemon, "a")


def send_half(daemon):
    control = greet(daemon)
    control.send(message(CLAIM, b"half"))
    return control


def send_claim(daemon):
    control = greet(daemon)
    control.send(claim_message("::", CLAIMED))
    return control


def claim(daemon, flags=0):
    control = greet(daemon)
    control.claim("::", CLAIMED, flags=flags)
    return control


def claim_group(daemon):
    return claim(daemon, REUSEPORT)


def accept(daemon):
    control = claim(daemon)
    control.socket.settimeout(60)
    return control, control.socket.accept()


def send_register(daemon):
    control = claim(daemon)
    control.send(claim_message("::", CLAIMED, kind=REGISTER), [control.socket.fileno()])
    return control


def register(daemon):
    control = claim(daemon)
    control.register("::", CLAIMED, fds=[control.socket.fileno()])
    return control


STEPS = [Control, greet, send_half, send_claim, claim, claim_group, accept, send_register, register]


def settled_fds(daemon):
    """How many descriptors the daemon has once its answers to earlier questions are over."""
    counts = [-1]

    def settled():
        counts.append(open_fds(daemon.process.pid))
        time.sleep(0.1)
        return len(set(counts[-5:])) == 1
    until(settled, what="the number of descriptors stays")
    return counts[-1]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_claimant_killed_at_any_step_leaves_nothing(world, stored, path, step):
    started = stored(config(path, hold=0))
    before, names = settled_fds(started), started.store.names()
    for _ in range(5):
        ready, done = os.pipe()
        child = os.fork()
        if not child:
            try:
                kept = step(started)
                os.write(done, b"x")
                time.sleep(60)
            finally:
                os._exit(1)
        os.close(done)
        if step is accept:
            until(lambda: started.claims("a"))
            connect(world, V4, CLAIMED).close()
        assert os.read(ready, 1) == b"x"
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        until(lambda: started.store.names() == names, what="nothing is left in the store")
    until(lambda: not started.claims("a"), what="no claim is left")
    until(lambda: settled_fds(started) == before, what="no descriptor is left")
    Answers(claim(started).socket, "next")
    assert ask(world, V4, CLAIMED, timeout=10) == "next"


def test_launchers_and_programs_killed_at_any_moment_leave_nothing(world, daemon, service, path):
    started = daemon(config(path, hold=0))
    before = settled_fds(started)
    chance = random.Random(7)
    for number in range(16):
        running = service(started, "a", [program("v6only"), "0"], isolate=number % 2 == 0)
        time.sleep(chance.uniform(0, 0.08))
        if number % 4 == 3:
            running.process.pause()
            time.sleep(0.02)
        with contextlib.suppress(OSError, IndexError):
            os.kill(running.program if number % 4 == 1 else running.process.pid, signal.SIGKILL)
        time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        running.process.popen.wait()
    until(lambda: not started.claims("a"), timeout=30, what="no claim is left")
    until(lambda: settled_fds(started) == before, timeout=30, what="no descriptor is left")
    service(started, "a", [program("v6only"), "0"]).ready(f"http://[{V6}]:{CLAIMED}/", timeout=60)


@pytest.mark.kernel_engine
def test_what_another_version_has_pinned_is_detached(world, daemon):
    """Under the name of another layout, its programs would go on deciding, and hold this daemon's own sockets in."""
    config = {"services": {"a": {}}, "routes": [{"to": V6, "port": 81, "refuse": True}, {"to": V6, "port": 80, "service": "a"}]}
    started = daemon(config)
    started.process.stop()
    pins = started.run_dir / "bpf"
    world.run(["nsenter", f"--mount=/proc/{os.getpid()}/ns/mnt", "sh", "-c", f"mv {pins}/v2 {pins}/v1"])
    started.write({"services": {"a": {}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    server = host_server(world, V6, 81, "the host's")
    started.start()
    assert (pins / "v2").exists() and not (pins / "v1").exists()
    assert "another version has pinned" in started.process.log()
    assert started.status()["confinement"]["active"] and not started.status()["engine"]["adopted"]
    assert ask(world, V6, 81) == "the host's"
    claimed = Answers(Control(started, "a").claim(V6), "claimed")
    assert ask(world, V6) == "claimed"
    server.stop()
    claimed.stop()
