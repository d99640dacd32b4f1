# SPDX-License-Identifier: BSD-2-Clause
"""The checks that UDP servers of the table pass, and those of DNS servers among them."""
import socket
import time

from compat.server import CONCURRENCY, check_page, check_parallel, plain
from support.load import Load
from support.load import lost as lost_connections
from support.process import until
from support.queries import Queries, dns_query, lost
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

PREFIX = "2001:db8:1::/64"  # all of it is the host's
IN_PREFIX = "2001:db8:1::7"
NAME, ANSWER, ANSWER_V6 = "www.example.test", "203.0.113.5", "2001:db8:5::5"
QUERY, EXPECTED = dns_query(NAME), socket.inet_aton(ANSWER)


def dns_config(*more, hold="30s"):
    """DNS over both protocols on the host's addresses, and on more."""
    return {"services": {"dns": {"hold": hold}},
            "routes": [{"to": [V4, V6, *more], "protocol": ["tcp", "udp"], "port": 53, "service": "dns"}]}


def dig(world, address, *options, check=True):
    """What the real client says; it takes no answer from another address or port than the one asked."""
    return world.run(["dig", "+short", "+tries=1", "+time=2", *options, f"@{address}", NAME], check=check).stdout.strip()


def ready(world, service, *addresses):
    def answers():
        if not service.process.running():
            raise AssertionError(f"{service.name} ended: {service.log()}")
        return all(dig(world, address, check=False) == ANSWER for address in addresses)
    until(answers, 30, "all addresses answer")


def check_dns(world, *more, tcp=True):
    """Each address, over UDP and TCP, a record of either family."""
    for address in (V4, V6, *more):
        for option in ["+notcp", "+tcp"][:1 + tcp]:
            assert dig(world, address, option) == ANSWER
        assert dig(world, address, "-t", "AAAA") == ANSWER_V6


def check_clients_in_log(service, pattern="{}"):
    """The server's log names the client by its true address."""
    for client in CLIENT_V4, CLIENT_V6:
        assert pattern.format(client) in service.log()


def check_queries(world, *more, port=53, payload=QUERY, expect=EXPECTED, count=10000):
    """So many queries by either family, each tried once, from 64 sockets: none may be lost, refused or answered
    from another address or port."""
    for address in (V4, V6, *more):
        result = Queries(world, address, port, payload, expect, count=count).result()
        assert (result["ok"], lost(result)) == (count, {})


def check_restart(world, service, wait, number=None, port=53, payload=QUERY, expect=EXPECTED):
    """Restarts the server under queries that are repeated each second, as resolvers do: all are answered, and none is
    refused (ICMP port unreachable), as the restart of a native server does."""
    loads = [Queries(world, address, port, payload, expect, seconds=4, concurrency=8, tries=8, timeout=1,
                     dns=payload == QUERY)
             for address in (V4, V6)]
    time.sleep(0.5)
    service.restart(*([number] if number else []))
    wait()
    for result in [load.result() for load in loads]:
        assert result["ok"] > 50
        assert lost(result) == {}


BOTH = {"services": {"web": {}},
        "routes": [{"to": [V4, V6], "protocol": ["tcp", "udp"], "port": 80, "service": "web"}]}


def check_both(world, daemon, service, command, **options):
    """For a program that serves the page over TCP and echoes datagrams on the same port, naming the client in either:
    all the checks, the restart with both loads at once."""
    started = service(daemon(BOTH), "web", command, **options)
    started.ready(f"http://{V4}/", timeout=30)
    check_page(world, started)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        with connect(world, address, timeout=5, kind=socket.SOCK_DGRAM) as connection:
            connection.send(b"hello ")
            assert plain(connection.recv(4096).decode().split("client=")[1].strip()) == client
    check_parallel(world)
    check_queries(world, port=80, payload=b"NNhello ", expect=b"hello client=")
    load = Load(world, V6, seconds=5, concurrency=CONCURRENCY, expect="client=")
    check_restart(world, started, lambda: started.ready(f"http://[{V6}]/", timeout=30), port=80, payload=b"NNhello ",
                  expect=b"hello client=")
    result = load.result()
    assert result["ok"] > 50
    assert lost_connections(result, cut_short=CONCURRENCY) == {}
