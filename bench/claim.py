# SPDX-License-Identifier: BSD-2-Clause
"""The same nginx served natively and through a claim, each asked by wrk from a namespace of its own."""
import os
import re
import statistics
import subprocess
import time

from support.process import until
from support.world import V4, V6, Daemon, Service, World

SERVER_CPU, CLIENT_CPU = 0, min(1, os.cpu_count() - 1)
KINDS = {"short connections": ["-H", "Connection: close"], "keep-alive": []}
CONNECTIONS = 32


def nginx_command(directory):
    """One worker, pinned, so that what differs is the way connections come to it."""
    directory.mkdir()
    (directory / "nginx.conf").write_text(f"""
pid {directory}/nginx.pid; error_log stderr; worker_processes 1; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000; server {{
  listen 80; listen [::]:80 ipv6only=on;
  location / {{ return 200 "served\\n"; }} }} }}
""")
    return ["taskset", "-c", str(SERVER_CPU), "nginx", "-c", directory / "nginx.conf"]


class Peers:
    """Two machines (namespaces) with their clients: one serves natively, one by socketbox."""

    def __init__(self, directory):
        self.native, self.claim = World(directory), World(directory)
        self.native.start(nginx_command(directory / "native"), "native", netns=self.native.host)
        daemon = Daemon(self.claim, {"services": {"web": {}},
                                     "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]})
        Service(self.claim, daemon, "web", nginx_command(directory / "claim"))
        for world in self.native, self.claim:
            until(lambda world=world: world.curl(f"http://{V4}/", check=False))

    def close(self):
        self.claim.close()
        self.native.close()


def wrk(world, seconds, options):
    """What wrk says of a claim or of the native server."""
    return results(world.run(["taskset", "-c", CLIENT_CPU, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
                              *options, f"http://[{V6}]/"], timeout=seconds + 30).stdout)


def results(text):
    """Requests per second, median latency in microseconds, and what failed, as wrk says it."""
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    failures = sum(map(int, errors.groups())) if errors else 0
    return rate, float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit], failures + int(other.group(1) if other else 0)


def version():
    text = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return re.search(r"nginx/(\S+)", text).group(1)


def measure(directory, rounds, seconds):
    """Native and claim take turns, and turns in who begins: a busy spell of the machine hits both."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    peers = Peers(directory)
    samples = {kind: {"native": [], "claim": []} for kind in KINDS}
    try:
        for number in range(rounds + 1):
            for kind, options in KINDS.items():
                for peer in ("native", "claim") if number % 2 else ("claim", "native"):
                    sample = wrk(getattr(peers, peer), seconds, options)
                    if number:  # the first round only warms up
                        samples[kind][peer].append(sample)
                    time.sleep(0.2)
    finally:
        peers.close()
    return {kind: summary(samples[kind]) for kind in KINDS}


def summary(samples):
    ratios = [claim[0] / native[0] for claim, native in zip(samples["claim"], samples["native"])]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "failures": sum(sample[2] for sample in samples["claim"]),
        "native_failures": sum(sample[2] for sample in samples["native"]),
        **{f"{peer}_rate": statistics.median(sample[0] for sample in samples[peer]) for peer in samples},
        **{f"{peer}_latency_us": statistics.median(sample[1] for sample in samples[peer]) for peer in samples},
    }
