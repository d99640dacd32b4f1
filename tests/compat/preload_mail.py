# SPDX-License-Identifier: BSD-2-Clause
"""What the rows of mail servers under the preload library share: conversations over SMTP and IMAP, and their checks."""
import time

from compat.server import CONCURRENCY
from support.load import Load, lost
from support.process import until
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

ADDRESSES = ((V4, CLIENT_V4), (V6, CLIENT_V6))


def environment_list(server):
    """The library's variables, as import_environment takes them."""
    return " ".join(server.variables)


def talk(world, address, port, *lines, end="\r\n"):
    """Says each line after an answer to the one before; returns the answers."""
    with connect(world, address, port, timeout=30) as connection:
        answers = [connection.recv(4096).decode()]
        for line in lines:
            connection.sendall((line + end).encode())
            answers.append(connection.recv(4096).decode())
        return answers


def greets(world, port, greeting):
    def check():
        try:
            return all(talk(world, address, port)[0].startswith(greeting) for address in (V4, V6))
        except OSError:
            return False
    return check


def check_parallel(world, port, request, expect):
    for address in (V4, V6):
        result = Load(world, address, port, count=300, concurrency=30, request=request, expect=expect).result()
        assert (result["ok"], lost(result)) == (300, {})


def check_restart(world, server, port, greeting, request, expect):
    """Stops and starts the server under load: nobody is refused."""
    loads = [Load(world, address, port, seconds=90, concurrency=CONCURRENCY, request=request, expect=expect)
             for address in (V4, V6)]
    time.sleep(1)
    server.restart()
    until(greets(world, port, greeting), 60, f"port {port} after the restart: {server.log()[-2000:]}")
    time.sleep(1)
    for load in loads:
        load.stop()
    for result in [load.result() for load in loads]:
        assert result["ok"] > 20, result
        assert lost(result, cut_short=2 * CONCURRENCY) == {}
