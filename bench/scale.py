#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a claim, an accepted connection, an explain, a release, the death of a listener, a status and a reload cost the daemon, by
the number of services, claims and routes, and the longest turn of its event loop in each. scale_client.c asks.

bench/scale.py [--quick] [--daemon PROGRAM] [--json]      as root; prints the tables of docs/benchmarks.md
"""
import argparse
import ipaddress
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from support import paths  # noqa: E402
from support.process import until  # noqa: E402
from support.world import Daemon, World  # noqa: E402

BATCH = 10  # scale_client's
LISTENERS = 2  # of a service that listens: for IPv4 and for IPv6
DESCRIPTORS_LEFT = 1000  # for connections, and for what the daemon has anyway
POINTS = ((10, 10), (1000, 1000), (10000, 10000), (10, 1000), (10, 100000), (10000, 100000), (10, 1000000))
LISTENER_POINTS = ((10, 10), (1000, 1000), (10000, 10000), (10, 1000), (10, 100000))
QUICK_POINTS = ((10, 10), (30, 100))
OPERATIONS = ("claim", "accepted", "explain", "release", "death", "status", "reload")


def address(number):
    return str(ipaddress.ip_address("2001:db8:1::") + number + 1)


def configuration(services, routes, listens):
    """As YAML, a route to a line. What the client claims again and again is not held, the rest is."""
    lines = ["services:"]
    for number in range(services):
        held = "hold: 1h" if number < services - BATCH else "hold: 0s"
        lines.append(f"  s{number}: {{{'handoff: {}' if listens else held}}}")
    lines += ["routes:"]  # those of the services last, where a search from the first takes longest
    lines += [f'  - {{to: "10.{n >> 16}.{n >> 8 & 255}.{n & 255}", port: 25, protocol: tcp, refuse: true}}'
              for n in range(routes - services)]
    lines += [f'  - {{to: "{address(n)}", port: 80, protocol: tcp, service: s{n}}}' for n in range(services)]
    return "\n".join(lines) + "\n"


def memory_mib(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return None


def listens_on(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return path.exists() and probe.connect_ex(str(path)) == 0


def serves(daemon):
    """Not by a status, which is one of the things to measure."""
    if not daemon.process.running():
        raise AssertionError(f"socketboxd ended: {daemon.process.log()}")
    return listens_on(daemon.control)


def measure_point(directory, services, routes, listens, limits, program):
    """A daemon of its own for each, since one that has stalled is of no use for the next."""
    seconds, stall = limits
    row = {"services": services, "routes": routes, "listens": listens}
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = (descriptors - DESCRIPTORS_LEFT) // (LISTENERS if listens else 1)
    present = row["present"] = min(services, room)
    world = World(directory)
    try:
        started = time.monotonic()
        daemon = Daemon(world, configuration(present, routes, listens), wait=False, program=program)
        until(lambda: serves(daemon), timeout=120, what="the daemon serves")
        row["load_s"] = time.monotonic() - started
        pid = daemon.process.pid
        row["memory_mib"] = memory_mib(pid, "VmRSS")
        result = world.run([paths.BUILD / "bench" / "scale_client", "connections" if listens else "claims", daemon.control, pid,
                            present, seconds, stall], netns=world.host, check=False, timeout=12 * stall)
        if result.returncode:
            return {**row, "why": result.stderr.strip()}
        return {**row, **json.loads(result.stdout), "services": services, "peak_mib": memory_mib(pid, "VmHWM")}
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return {**row, "why": str(error)}
    finally:
        for process in world.processes:
            process.send(signal.SIGKILL)  # one that is stalled does not end by itself
        world.close()


def measure(directory, quick=False, program=paths.DAEMON):
    limits = (1, 20) if quick else (3, 30)
    points = [(*point, False) for point in (QUICK_POINTS if quick else POINTS)]
    points += [(*point, True) for point in (QUICK_POINTS if quick else LISTENER_POINTS)]
    rows = []
    for number, point in enumerate(points):
        inside = directory / str(number)
        inside.mkdir()
        rows.append(measure_point(inside, *point, limits, program))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return merge(rows)


def merge(rows):
    """One row for each number of services and routes: claims and accepted connections come from different daemons."""
    merged = {}
    for row in sorted(rows, key=lambda row: row["listens"]):
        into = merged.setdefault((row["services"], row["routes"]), row)
        if into is not row:
            into["accepted"] = row.get("accepted")
            into["listening"] = row["present"]
            into["why_not_accepted"] = row.get("why")
    return list(merged.values())


def main():
    import scale_page  # which imports this module
    parser = argparse.ArgumentParser(description="What operations cost by the number of services, claims and routes.")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parser.add_argument("--daemon", default=paths.DAEMON, type=pathlib.Path, help="another socketboxd")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench/scale.py makes network namespaces: run it as root")
    with tempfile.TemporaryDirectory(prefix="socketbox-bench-") as directory:
        rows = measure(pathlib.Path(directory), options.quick, options.daemon)
    print(json.dumps(rows, indent=1) if options.json else scale_page.section(rows))


if __name__ == "__main__":
    main()
