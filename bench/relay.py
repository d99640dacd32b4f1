# SPDX-License-Identifier: BSD-2-Clause
"""Relays before the same backends, in one run: ours, HAProxy in TCP mode, systemd-socket-proxyd."""
import json
import os
import re
import statistics
import subprocess
import time

import claim
from support import paths
from support.process import until
from support.world import V4, World

RELAY_CPU, OTHER_CPU = 0, min(1, os.cpu_count() - 1)
PEERS = {"socketbox relay": 9000, "HAProxy": 9100, "HAProxy, splice-auto": 9200, "systemd-socket-proxyd": 9300}
OURS = "socketbox relay"
WORKLOADS = {"connections": "connections/s", "one stream": "bytes/s", "32 streams": "bytes/s"}
PAGE, BULK = 8000, 8001  # the backends' ports, and what is added to a peer's for the second
BULK_PROGRAM = paths.BUILD / "bench" / "bulk"


def haproxy_config(name, options=""):
    port = PEERS[name]
    return f"""
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  {options}
listen page
  bind {V4}:{port}
  server page 127.0.0.1:{PAGE}
listen bulk
  bind {V4}:{port + 1}
  server bulk 127.0.0.1:{BULK}
"""


def start(world):
    """The backends and all relays, each relay on one CPU, the rest on the other."""
    directory = world.directory
    backend = directory / "backend"
    command = claim.nginx_command(backend)
    config = backend / "nginx.conf"
    config.write_text(re.sub(r"listen 80;.*", f"listen 127.0.0.1:{PAGE};", config.read_text()))
    command[2] = str(OTHER_CPU)
    world.start(command, "nginx", netns=world.host)
    world.start(["taskset", "-c", OTHER_CPU, BULK_PROGRAM, "serve", "127.0.0.1", BULK], "bulk", netns=world.host)
    pinned = ["taskset", "-c", RELAY_CPU]
    for extra, backend_port in ((0, PAGE), (1, BULK)):
        port = PEERS[OURS] + extra
        world.start([*pinned, paths.CLI, "relay", "--listen", f"{V4}:{port}", f"127.0.0.1:{backend_port}"],
                    f"relay{extra}", netns=world.host)
        port = PEERS["systemd-socket-proxyd"] + extra
        # As systemd starts its services (IgnoreSIGPIPE=): a reset would end it otherwise.
        world.start(["env", "--ignore-signal=PIPE", *pinned, "systemd-socket-activate", "-l", f"{V4}:{port}",
                     "/lib/systemd/systemd-socket-proxyd", "--connections-max=4000", f"127.0.0.1:{backend_port}"], f"proxyd{extra}", netns=world.host)
    for number, (name, options) in enumerate((("HAProxy", ""), ("HAProxy, splice-auto", "option splice-auto"))):
        path = directory / f"haproxy{number}.cfg"
        path.write_text(haproxy_config(name, options))
        world.start([*pinned, "haproxy", "-db", "-f", path], f"haproxy{number}", netns=world.host)
    for port in PEERS.values():
        until(lambda port=port: world.curl(f"http://{V4}:{port}/", check=False))


def sample(world, peer, workload, seconds):
    """What is done per second, and what failed."""
    port = PEERS[peer]
    client = ["taskset", "-c", OTHER_CPU]
    if workload == "connections":
        text = world.run([*client, "wrk", "-t1", f"-c{claim.CONNECTIONS}", f"-d{seconds}s", "-H", "Connection: close",
                          f"http://{V4}:{port}/"], timeout=seconds + 30).stdout
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), sum(map(int, errors.groups())) if errors else 0
    streams = 1 if workload == "one stream" else 32
    result = json.loads(world.run([*client, BULK_PROGRAM, "fetch", V4, port + 1, streams, seconds],
                                  timeout=seconds + 30).stdout)
    return result["rate"], result["failures"]


def versions():
    haproxy = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout
    systemd = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
    return {"HAProxy": re.search(r"version (\d+\.\d+\.\d+)", haproxy)[1], "systemd": systemd.split()[1]}


def measure(directory, rounds, seconds):
    """The peers take turns, and turns in who begins: a busy spell of the machine hits all."""
    world = World(directory)
    samples = {workload: {peer: [] for peer in PEERS} for workload in WORKLOADS}
    names = list(PEERS)
    try:
        start(world)
        for number in range(rounds + 1):
            order = names[number % len(names):] + names[:number % len(names)]
            for workload in WORKLOADS:
                for peer in order:
                    taken = sample(world, peer, workload, seconds)
                    if number:  # the first round only warms up
                        samples[workload][peer].append(taken)
                    time.sleep(0.2)
    finally:
        world.close()
    return {workload: {peer: summary(samples[workload], peer) for peer in PEERS} for workload in WORKLOADS}


def summary(samples, peer):
    """Ratio: ours to the peer's, by the median of the rounds."""
    return {
        "ratio": statistics.median(ours[0] / other[0] if other[0] else float("inf")
                                   for ours, other in zip(samples[OURS], samples[peer])),
        "rate": statistics.median(rate for rate, _ in samples[peer]),
        "failures": sum(failures for _, failures in samples[peer]),
    }
