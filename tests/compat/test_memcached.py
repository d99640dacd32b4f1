# SPDX-License-Identifier: BSD-2-Clause
# Packages: memcached
"""memcached: TCP, and UDP with a copy of the socket in each thread."""
import re
import socket

from compat import datagrams
from compat.server import version
from compat.streams import Exchange, check_parallel, check_restart, config, ready
from support import require
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

VERSION = Exchange(11211, "version\r\nquit\r\n", "VERSION ")
FRAME = b"NN\0\0\0\1\0\0"  # a request's number, and that it is one datagram


def ask(world, address, command, kind=socket.SOCK_STREAM, end=b"END\r\n", frame=b""):
    """The answer to one command."""
    with connect(world, address, 11211, timeout=5, kind=kind) as connection:
        connection.send(frame + command + b"\r\n")
        answer = b""
        while not answer.endswith(end):
            answer += connection.recv(65536)
        return answer


def test_memcached(world, daemon, service, row):
    memcached = require.command("memcached")
    started = service(daemon(config("cache", 11211, ["tcp", "udp"])), "cache",
                      [memcached, "-u", "nobody", "-p", "11211", "-U", "11211", "-c", "4096"])
    ready(world, started, VERSION)
    for address, client, written in (V4, CLIENT_V4, V4), (V6, f"[{CLIENT_V6}]", f"[{V6}]"):
        assert ask(world, address, b"set greeting 0 0 5\r\nhello", end=b"STORED\r\n")
        assert b"\r\nhello\r\n" in ask(world, address, b"get greeting")
        udp = ask(world, address, b"get greeting", socket.SOCK_DGRAM, frame=FRAME)
        assert udp == FRAME + b"VALUE greeting 0 5\r\nhello\r\nEND\r\n"
        seen = ask(world, address, b"stats conns").decode()
        number = re.search(rf"STAT (\d+):addr tcp6?:{re.escape(client)}:\d+", seen).group(1)
        assert re.search(rf"STAT {number}:listen_addr tcp6?:{re.escape(written)}:11211", seen)
    check_parallel(world, VERSION)
    query, expected = FRAME + b"get greeting\r\n", b"END\r\n"
    datagrams.check_queries(world, port=11211, payload=query, expect=expected)
    check_restart(world, started, VERSION)
    datagrams.check_restart(world, started, lambda: ready(world, started, VERSION), port=11211, payload=query,
                            expect=expected)
    row("memcached", version(memcached, "-V"), "TCP and UDP, 10,000 queries, addresses in `stats conns`")
