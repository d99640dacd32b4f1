# SPDX-License-Identifier: BSD-2-Clause
"""A status of many routes: others are served while it is written, and it is whole."""
import json
import os
import select
import struct

from support.control import EXPLAIN, STATUS, TCP, TEXT, Control, message, packed
from support.world import V4

ROUTES = 20000
CONFIG = {
    "services": {f"s{number}": {} for number in range(500)},
    "routes": [{"to": V4, "port": 1 + number, "service": f"s{number % 500}"} for number in range(ROUTES)],
}


def read_status(control):
    answer = control.receive()
    assert answer.kind == TEXT, answer
    with os.fdopen(answer.fds[0]) as file:
        return json.load(file)


def test_others_are_answered_while_a_status_is_written(world, daemon):
    started = daemon(CONFIG)
    asker, other = Control(started), Control(started)
    asker.send(message(STATUS))
    answered = 0
    while not select.select([asker.channel], [], [], 0)[0]:
        other.send(message(EXPLAIN, struct.pack("=16s16sHHI", packed(V4), packed("192.0.2.100"), 1 + answered % ROUTES, 40000, TCP)))
        answer = other.receive()
        assert answer.kind == TEXT
        os.close(answer.fds[0])
        answered += 1
    status = read_status(asker)
    assert len(status["routes"]) == ROUTES and len(status["services"]) == 500
    assert [route["number"] for route in status["routes"]] == list(range(ROUTES))
    # The first may have been answered before the status was begun, and one after the last piece of it.
    assert answered >= 5


def test_a_reload_meanwhile_is_told_whole(world, daemon):
    started = daemon(CONFIG)
    asker = Control(started)
    asker.send(message(STATUS))
    started.reload(dict(CONFIG, routes=CONFIG["routes"][: ROUTES // 2]))
    assert len(read_status(asker)["routes"]) in (ROUTES, ROUTES // 2)
    asker.send(message(STATUS))
    assert len(read_status(asker)["routes"]) == ROUTES // 2


def test_clients_that_leave_while_it_is_written(world, daemon):
    started = daemon(CONFIG)
    for _ in range(20):
        leaver = Control(started)
        leaver.send(message(STATUS))
        leaver.channel.close()
    assert len(started.status()["routes"]) == ROUTES
