# SPDX-License-Identifier: BSD-2-Clause
# Packages: golang-go golang-github-lucas-clemente-quic-go-dev
"""QUIC: a static quic-go server on the wildcard, which answers each client from the address that it asked."""
import re
import subprocess
import time

import pytest

from compat.datagrams import IN_PREFIX, PREFIX
from compat.server import CONCURRENCY, plain, version
from compat.test_go import build
from support import paths
from support.process import until
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

CONFIG = {"services": {"web": {}},
          "routes": [{"to": [V4, V6, PREFIX], "protocol": "udp", "port": 443, "service": "web"}]}


@pytest.fixture
def quic(tmp_path):
    return build(paths.COMPAT_PROGRAMS / "quic.go", tmp_path)


def endpoint(address):
    return f"[{address}]:443"


def result(output):
    """How many connections were answered, and how many were not."""
    return tuple(map(int, re.search(r"ok=(\d+) failed=(\d+)", output).groups()))


def test_quic(world, daemon, service, row, quic):
    started = service(daemon(CONFIG), "web", [quic, "serve", ":443"])

    def ask(address, count=1):
        return world.run([quic, "ask", endpoint(address), count, 20]).stdout

    until(lambda: result(ask(V6))[0], what="the server answers")
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6), (IN_PREFIX, CLIENT_V6):
        output = ask(address, 200)
        found = re.search(r"client=(\S+) server=(\S+)", output)
        assert (plain(found.group(1)), plain(found.group(2))) == (client, address)
        assert result(output) == (200, 0)
    load = subprocess.Popen(["nsenter", f"--net=/run/netns/{world.client}", quic, "ask", endpoint(V6), "1000000", "3"],
                            stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    started.restart()
    right, wrong = result(load.communicate(timeout=60)[0])
    # What was under way dies with the server that had its keys; whoever comes during the restart is answered after.
    assert right > 50 and wrong <= CONCURRENCY
    row("QUIC (quic-go, static)", version("dpkg-query", "-W", "golang-github-lucas-clemente-quic-go-dev"),
        "UDP, all addresses of an IPv6 prefix, `LocalAddr()`")
