# SPDX-License-Identifier: BSD-2-Clause
"""socketboxd when the world is against it: clients that say nothing, crashes, a second daemon, no room, no rights."""
import json
import os
import random
import resource
import socket
import struct
import subprocess
import time

import pytest

from support import paths
from support.control import TURNS, Control, Refused, as_user
from support.launch import NOBODY, open_to_all, program
from support.load import Load, lost
from support.process import Process, until
from support.traffic import Answers, ask
from support.world import V4, V6

CONFIG = {"services": {"a": {"hold": "10s"}}, "routes": [{"to": [V4, V6], "port": [80, 8080], "service": "a"}]}


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_ten_thousand_clients_that_say_nothing(world, daemon):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    started = daemon(CONFIG)
    before, silent = memory_kib(started.process.pid), []
    try:
        for _ in range(10000):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            # Not settimeout, with which connect fails where the daemon is behind.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 30, 0))
            client.connect(str(started.control))
            silent.append(client)
        Answers(Control(started, "a").claim("::"), "a")
        assert ask(world, V4) == "a"
        room = 16384 if paths.SANITIZED else 4096  # AddressSanitizer pads each allocation, and keeps what is freed
        assert memory_kib(started.process.pid) < before + room
    finally:
        for client in silent:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_hundred_reloads_refuse_nobody(world, daemon, service):
    started = daemon(CONFIG)
    service(started, "a", [program("v6only"), "0"]).ready(f"http://[{V6}]:8080/")
    loads = [Load(world, address, port=8080, seconds=60, concurrency=8, expect="both") for address in (V4, V6)]
    for number in range(100):
        started.reload(dict(CONFIG, routes=CONFIG["routes"] + [{"port": 20000 + number, "service": "a"}]))
    for load in loads:
        load.stop()
        result = load.result()
        assert result["ok"] > 100
        assert lost(result) == {}
    assert started.status()["reloads"] == 100


def test_long_turns_of_the_event_loop_are_counted(world, daemon):
    started = daemon(CONFIG)
    open_to_all(started)
    manager = Control(started)
    manager.json(TURNS)
    quiet = manager.json(TURNS)
    assert 1 <= quiet["turns"] < 20
    many = "\n".join(f'  - {{to: "10.0.{n >> 8}.{n & 255}", port: 80, service: a}}' for n in range(5000))
    started.reload(f"services: {{a: }}\nroutes:\n{many}\n")
    busy, after, view = manager.json(TURNS), manager.json(TURNS), started.status()["loop"]
    assert busy["longest_ms"] >= busy["longest_cpu_ms"] > 5  # the YAML alone takes 15 ms
    assert after["longest_cpu_ms"] < busy["longest_cpu_ms"]
    assert view["longest_cpu_ms"] >= view["recent_cpu_ms"] >= busy["longest_cpu_ms"]
    assert view["longest_ms"] >= view["recent_ms"] >= busy["longest_ms"]
    assert view["turns"] > busy["turns"] + quiet["turns"]
    with as_user(65534):
        other = Control(started)
    with pytest.raises(Refused, match="only root and the daemon's own user"):
        other.json(TURNS)


def test_a_broken_configuration_changes_nothing(world, daemon):
    started = daemon(CONFIG)
    Answers(Control(started, "a").claim("::"), "a")
    result = started.reload("services: {a: {}}\nroutes: [{to: 192.0.2.300, port: 80, service: a}]\n", check=False)
    assert result.returncode == 1
    assert f"{started.config}:2:15: error: '192.0.2.300'" in result.stderr
    assert "the old configuration stays in force" in result.stderr
    assert ask(world, V4) == "a"
    assert started.status()["reloads"] == 0


def test_a_daemon_killed_at_any_moment_of_a_claim(world, daemon, service):
    """Whatever the daemon was doing, its successor serves the program that waited."""
    started = daemon(CONFIG)
    chance = random.Random(4)
    for _ in range(12):
        started_service = service(started, "a", [program("v6only"), "0"], isolate=False)
        time.sleep(chance.uniform(0, 0.06))
        started.restart()
        if not started_service.process.running():
            assert "socketboxd" in started_service.log()
            started_service.start()  # the launcher was too early
        started_service.ready(f"http://[{V6}]:8080/", timeout=60)
        until(lambda: started.claims("a"), what="the launcher finds the daemon again")
        started_service.stop()
    [claim] = started.claims("a")
    assert claim["state"] == "held"


def refuses_to_start(world, *words, prefix=()):
    """The log of a daemon that ends with status 1."""
    log = world.directory / "refused.log"
    process = Process([*prefix, paths.DAEMON, *words], log, netns=world.host)
    assert process.wait(60) == 1
    return log.read_text()


def test_two_daemons_do_not_share(world, daemon):
    started = daemon(CONFIG)
    log = refuses_to_start(world, "--config", started.config, "--run-dir", started.run_dir)
    assert f"socketboxd runs on {started.run_dir} already (pid {started.process.pid})" in log
    log = refuses_to_start(world, "--config", started.config, "--run-dir", world.directory / "other.run",
                           "--control", started.control)
    world.run_dirs.append(world.directory / "other.run")
    assert f"another socketboxd answers on {started.control}" in log
    assert started.status()["services"]


def test_a_full_disk_is_said_with_the_path(world, daemon, tmp_path):
    run_dir = tmp_path / "full"
    run_dir.mkdir()
    world.run_dirs.append(run_dir)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "tmpfs", run_dir], check=True)
    try:
        (tmp_path / "socketbox.yaml").write_text(json.dumps(CONFIG))
        log = refuses_to_start(world, "--config", tmp_path / "socketbox.yaml", "--run-dir", run_dir)
        assert str(run_dir) in log and "No space left" in log
    finally:
        subprocess.run(["umount", run_dir], check=True)


def test_no_room_for_the_pins_is_a_warning(world, daemon, tmp_path):
    """The engine works all the same, and says what is missing."""
    started = daemon(CONFIG)
    Answers(Control(started, "a").claim("::"), "a")
    subprocess.run(["umount", "-l", started.run_dir / "bpf"], check=True)
    (started.run_dir / "bpf").rmdir()
    (started.run_dir / "bpf").write_text("in the way")
    started.kill()
    started.start()
    assert "nothing is pinned" in started.process.log()
    assert started.status()["engine"]["pins_fault"]
    Answers(Control(started, "a").claim("::"), "again")
    assert ask(world, V4) == "again"


def test_the_kernel_engine_is_not_quietly_replaced(world, tmp_path):
    directory = f"/var/tmp/socketbox-test-daemon-{os.getpid()}"
    subprocess.run(["install", "-d", "-o", "65534", "-g", "65534", directory], check=True)
    try:
        config = f"{directory}/socketbox.yaml"
        with open(config, "w", encoding="ascii") as file:
            file.write("engine: kernel\n")
        subprocess.run(["install", "-m", "0755", paths.DAEMON, f"{directory}/socketboxd"], check=True)
        process = Process([*NOBODY, f"{directory}/socketboxd", "--config", config, "--run-dir", f"{directory}/run"],
                          tmp_path / "log", netns=world.host)
        assert process.wait(60) == 1
        assert "run socketboxd as root, or with CAP_BPF" in process.log()
    finally:
        subprocess.run(["rm", "-rf", directory], check=True)


def test_reload_by_signal(world, daemon):
    started = daemon(CONFIG)
    started.write(dict(CONFIG, services={"a": {}, "b": {}}))
    started.process.send(1)
    until(lambda: len(started.status()["services"]) == 2, what="the reload")
    started.write("services: [")
    started.process.send(1)
    until(lambda: "reload refused" in started.process.log(), what="the refusal")
    assert len(started.status()["services"]) == 2


@pytest.mark.parametrize("words,message", [
    (["--engine", "ebpf"], "'ebpf' is not an engine"),
    (["extra"], "unexpected argument 'extra'"),
])
def test_wrong_options(words, message):
    result = subprocess.run([paths.DAEMON, *words], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert message in result.stderr and "usage: socketboxd" in result.stderr
