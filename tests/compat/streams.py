# SPDX-License-Identifier: BSD-2-Clause
"""The checks for TCP servers that speak no HTTP, by an exchange that the server ends: (port, request, expected)."""
import collections
import contextlib
import pathlib
import time

from compat.server import CONCURRENCY, local_address
from support.load import Load, lost
from support.process import until
from support.traffic import connect
from support.world import V4, V6

Exchange = collections.namedtuple("Exchange", "port request expect")


def config(name, port, protocol="tcp"):
    """The whole of a service on one port of the host's addresses."""
    return {"services": {name: {}}, "routes": [{"to": [V4, V6], "port": port, "protocol": protocol, "service": name}]}


def ready(world, service, exchange):
    """Waits until the server answers over both families."""
    def answers():
        if not service.process.running():
            raise AssertionError(f"{service.name} ended: {service.log()}")
        return all(Load(world, address, exchange.port, count=1, concurrency=1, expect=exchange.expect,
                        request=exchange.request).result()["ok"] for address in (V4, V6))
    until(answers, 30, f"{service.name} answers")


def descendants(pid):
    """The process and all below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        try:
            for child in (task / "children").read_text().split():
                found += descendants(int(child))
        except FileNotFoundError:
            pass
    return found


def check_descriptors(world, service, port, greeting=b""):
    """Asks the kernel what the server's accepted socket says of both ends."""
    for address in V4, V6:
        with connect(world, address, port, timeout=5) as connection:
            connection.send(greeting)

            def found():
                for pid in descendants(service.program):
                    with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended
                        pair = local_address(pid, connection.getsockname())
                        if pair:
                            return pair
                return None
            assert until(found, what="the server has the connection") == (address, port)


def check_parallel(world, exchange, count=1000, concurrency=100):
    """So many connections by either family, with none lost."""
    for address in V4, V6:
        result = Load(world, address, exchange.port, count=count, concurrency=concurrency, expect=exchange.expect,
                      request=exchange.request).result()
        assert (result["ok"], lost(result)) == (count, {})


def check_restart(world, service, exchange, number=None, at_least=50, concurrency=CONCURRENCY):
    """Stops the server and starts it again under load: nobody is refused. What it had accepted when it ended, it may
    reset."""
    loads = [Load(world, address, exchange.port, seconds=4, concurrency=concurrency, expect=exchange.expect,
                  request=exchange.request) for address in (V4, V6)]
    time.sleep(0.5)
    service.restart(*([number] if number else []))
    for result in [load.result() for load in loads]:
        assert result["ok"] > at_least
        assert lost(result, cut_short=concurrency) == {}
    ready(world, service, exchange)
