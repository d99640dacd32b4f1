# SPDX-License-Identifier: BSD-2-Clause
"""What an event costs the daemon does not grow with what others have: ratios of its own processor time."""
import pathlib
import resource
import socket

import pytest

from support.control import Control
from support.process import until
from support.world import V4

MOST = 3  # times the cost of few; what walks a list costs tens or hundreds of times as much


def spent_ns(daemon):
    return int(pathlib.Path(f"/proc/{daemon.process.pid}/schedstat").read_text().split()[0])


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ports(count):
    return {"services": {"a": {"hold": "1m"}}, "routes": [{"to": V4, "port": f"10000-{9999 + count}", "service": "a"}]}


def claim_all(daemon, count):
    control = Control(daemon, "a")
    before = spent_ns(daemon)
    sockets = [control.claim(V4, 10000 + number) for number in range(count)]
    return control, sockets, (spent_ns(daemon) - before) / count


def test_sockets_that_are_shut_down(world, daemon, engine, many_descriptors):
    """Each is replaced, and costs as much as if it were alone."""
    costs = []
    for count in 200, 8000:
        started = daemon(ports(count), name=f"of-{count}")
        control, sockets, _ = claim_all(started, count)
        cookies = {claim["cookie"] for claim in started.status()["services"][0]["claims"]}
        before = spent_ns(started)
        for made in sockets:
            made.shutdown(socket.SHUT_RDWR)
        until(lambda: not cookies & {claim["cookie"] for claim in started.status()["services"][0]["claims"]},
              what="all are replaced")
        costs.append((spent_ns(started) - before) / count)
        control.channel.close()
        for made in sockets:
            made.close()
        started.process.stop()
        world.run([started.program, "--detach", "--run-dir", started.run_dir])
    assert costs[1] < MOST * costs[0], costs


def test_a_claim_among_many_claims(world, daemon, engine, many_descriptors):
    started = daemon(ports(9000))
    _, few, cost_of_few = claim_all(started, 100)
    control = Control(started, "a")
    more = [control.claim(V4, 10100 + number) for number in range(8700)]
    before = spent_ns(started)
    more += [control.claim(V4, 18800 + number) for number in range(200)]
    assert (spent_ns(started) - before) / 200 < MOST * cost_of_few
    for made in few + more:
        made.close()


def test_a_claim_among_many_routes(world, daemon, engine):
    costs = []
    for routes in 20, 20000:
        config = ports(100)
        config["services"]["b"] = {}
        # Before those of the service that claims.
        config["routes"][:0] = [{"to": f"2001:db8:{number:x}::/48", "port": 443, "service": "b"} for number in range(1, routes)]
        started = daemon(config, name=f"with-{routes}")
        costs.append(claim_all(started, 100)[2])
        started.process.stop()
        world.run([started.program, "--detach", "--run-dir", started.run_dir])
    assert costs[1] < MOST * costs[0], costs
