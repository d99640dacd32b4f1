# SPDX-License-Identifier: BSD-2-Clause
"""Who starts programs for connections, in one run: ours, xinetd, tcpserver, systemd-socket-activate."""
import os
import pathlib
import re
import statistics
import subprocess
import time

from support import paths
from support.load import Load
from support.process import until
from support.world import V4, Daemon, World

SERVER_CPU, CLIENT_CPU = 0, min(1, os.cpu_count() - 1)
PEERS = {"socketbox exec": 7000, "socketbox inetd": 7001, "xinetd": 7002, "tcpserver": 7003,
         "systemd-socket-activate": 7004}
OURS = "socketbox exec"
# What the servers and their programs may run on. The clients have CLIENT_CPU in either case.
WORKLOADS = {"one CPU": {SERVER_CPU}, "all CPUs": set(range(os.cpu_count()))}
CONCURRENCY = 32
PROGRAM = paths.BUILD / "bench" / "answer"
XINETD = f"""
defaults
{{
    instances = UNLIMITED
    per_source = UNLIMITED
    cps = 1000000 1
}}
service answer
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    bind = {V4}
    port = {PEERS["xinetd"]}
    wait = no
    user = root
    server = {PROGRAM}
}}
"""




def commands(directory):
    """The others, without a log of starts and ends, and with room for every client."""
    listens = f"{V4}:{{}}".format
    return {
        "socketbox inetd": [paths.CLI, "open", f"tcp://{listens(PEERS['socketbox inetd'])},backlog=4096", "--", paths.CLI,
                            "inetd", "--log", "failures", "--stderr", "socket", "--instances", "100000", "3", PROGRAM],
        "xinetd": ["xinetd", "-dontfork", "-f", directory / "xinetd.conf", "-pidfile", directory / "xinetd.pid"],
        "tcpserver": ["tcpserver", "-HRDl0", "-b", "4096", "-c", "100000", V4, PEERS["tcpserver"], PROGRAM],
        "systemd-socket-activate": ["systemd-socket-activate", "--inetd", "-a", "-l",
                                    listens(PEERS["systemd-socket-activate"]), PROGRAM],
    }


def start(world):
    """All of them, on one machine; returns their processes. Ours leave stderr alone, as the others do."""
    (world.directory / "xinetd.conf").write_text(XINETD)
    settings = {"command": [str(PROGRAM)], "instances": 100000, "log": "failures", "stderr": "socket"}
    config = {"services": {"answer": {"exec": settings}},
              "routes": [{"to": V4, "port": PEERS[OURS], "service": "answer"}]}
    started = {OURS: Daemon(world, config).process}
    for name, command in commands(world.directory).items():
        started[name] = world.start(command, name.replace(" ", "-"), netns=world.host)
    for name in PEERS:
        until(lambda name=name: ask(world, name, count=1, concurrency=1)["ok"], what=f"{name} answers")
    return started


def ask(world, peer, **options):
    return Load(world, V4, PEERS[peer], expect="answer", **options).result()


def cpu_seconds(process):
    """What a server and the programs that it has waited for have used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def sample(world, peer, process, seconds):
    """Connections per second, CPU microseconds for each, and how many failed."""
    before = cpu_seconds(process)
    result = ask(world, peer, seconds=seconds, concurrency=CONCURRENCY)
    time.sleep(0.2)  # the last programs end
    used = cpu_seconds(process) - before
    return result["ok"] / seconds, used / max(result["ok"], 1) * 1e6, result["started"] - result["ok"]


def versions():
    def package(name):
        text = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True, check=True).stdout
        return re.match(r"(?:\d+:)?([^-]+)", text)[1]
    return {name: package(name) for name in ("xinetd", "ucspi-tcp", "systemd")}


def measure(directory, rounds, seconds):
    """The peers take turns, and turns in who begins: a busy spell of the machine hits all."""
    world = World(directory)
    names = list(PEERS)
    samples = {workload: {peer: [] for peer in names} for workload in WORKLOADS}
    allowed = os.sched_getaffinity(0)
    try:
        started = start(world)
        os.sched_setaffinity(0, {CLIENT_CPU})
        for number in range(rounds + 1):
            order = names[number % len(names):] + names[:number % len(names)]
            for workload, cpus in WORKLOADS.items():
                for process in started.values():
                    os.sched_setaffinity(process.pid, cpus)
                for peer in order:
                    taken = sample(world, peer, started[peer], seconds)
                    if number:  # the first round only warms up
                        samples[workload][peer].append(taken)
    finally:
        os.sched_setaffinity(0, allowed)
        world.close()
    return {workload: {peer: summary(samples[workload], peer) for peer in names} for workload in WORKLOADS}


def summary(samples, peer):
    """Ratio: ours to the peer's, by the median of the rounds."""
    return {
        "ratio": statistics.median(ours[0] / other[0] if other[0] else float("inf")
                                   for ours, other in zip(samples[OURS], samples[peer])),
        "rate": statistics.median(rate for rate, _, _ in samples[peer]),
        "cpu_us": statistics.median(used for _, used, _ in samples[peer]),
        "failures": sum(failures for _, _, failures in samples[peer]),
    }
