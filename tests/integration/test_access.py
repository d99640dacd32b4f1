# SPDX-License-Identifier: BSD-2-Clause
"""Who may claim, and what those who may not can do to others over the control socket, which is open to everyone."""
import json
import os
import pwd
import socket
import statistics
import subprocess
import time

import pytest

from support import paths
from support.control import RELOAD, Control, Refused, as_user, open_fds
from support.launch import open_to_all
from support.load import Load, lost
from support.process import until
from support.world import V4, V6

USER, OTHER, GROUP, STRANGER = 12345, 12346, 23456, 65534
CONFIG = {
    "services": {"mine": {"allow": {"user": USER}}, "ours": {"allow": {"group": GROUP}},
                 "named": {"allow": {"user": "nobody", "group": ["daemon"]}}, "nobodys": {},
                 "handed": {"handoff": {}, "allow": {"user": USER}}},
    "routes": [{"to": [V4, V6], "port": 80 + number, "service": service}
               for number, service in enumerate(("mine", "ours", "named", "nobodys", "handed"))],
}
PORTS = {"mine": 80, "ours": 81, "named": 82, "nobodys": 83}
NAMED_USER, NAMED_GROUP = pwd.getpwnam("nobody").pw_uid, 1

# user, group, supplementary groups: services
MATRIX = {
    "root": ((0, 0, []), {"mine", "ours", "named", "nobodys"}),
    "user": ((USER, USER, []), {"mine"}),
    "other user": ((OTHER, OTHER, []), set()),
    "group": ((OTHER, GROUP, []), {"ours"}),
    "supplementary group": ((OTHER, OTHER, [GROUP]), {"ours"}),
    "user and group": ((USER, USER, [GROUP]), {"mine", "ours"}),
    "named user": ((NAMED_USER, OTHER, []), {"named"}),
    "named group": ((OTHER, OTHER, [NAMED_GROUP]), {"named"}),
    "number of the group as user": ((GROUP, GROUP + 1, []), set()),
    "number of the user as group": ((OTHER, USER, [USER]), set()),
    "root's group": ((OTHER, 0, []), set()),
}


def may(daemon, service):
    """Whether the service's socket is given; who may not greet may not claim either, of this or another service."""
    control = Control(daemon)
    try:
        control.hello(service)
    except Refused as refused:
        assert f"may not claim service '{service}'; allow it with 'allow: {{user: " in str(refused)
        with pytest.raises(Refused):
            control.claim("::", PORTS[service])
        return False
    else:
        assert control.claim("::", PORTS[service]).getsockname()
        return True
    finally:
        control.close()


@pytest.mark.parametrize("who", MATRIX)
def test_allow(world, daemon, who):
    d = daemon(CONFIG)
    open_to_all(d)
    (uid, gid, groups), services = MATRIX[who]
    with as_user(uid, gid, groups):
        assert {service for service in PORTS if may(d, service)} == services


def test_a_service_claims_for_itself_alone(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    with as_user(USER):
        control = Control(d, "mine")
        with pytest.raises(Refused, match="no route of service 'mine' covers tcp"):
            control.claim("::", PORTS["ours"])
        with pytest.raises(Refused, match="this connection is service 'mine' already"):
            control.hello("ours")
        with pytest.raises(Refused):
            control.receive_connections(socket.SOCK_SEQPACKET)  # mine is no handoff


def test_who_may_not_manage(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    with as_user(USER):
        control = Control(d)
        with pytest.raises(Refused):
            control.json(RELOAD)
    assert d.status()["reloads"] == 0


AS_ROOT_OF_ITS_OWN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from support.control import Control, Refused
class Daemon: control = sys.argv[2]
assert os.geteuid() == 0
for service in sys.argv[3:]:
    try:
        Control(Daemon, service)
        print(service, 'greeted')
    except Refused as refused:
        print(service, 'refused', refused.strerror.split(' may ')[0])
"""


@pytest.mark.parametrize("uid, greeted", [(OTHER, set()), (USER, {"mine"})])
def test_root_of_a_user_namespace_is_who_made_it(world, daemon, uid, greeted):
    d = daemon(CONFIG)
    open_to_all(d)
    result = subprocess.run(
        ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "unshare", "--user", "--map-root-user",
         "/usr/bin/python3", "-c", AS_ROOT_OF_ITS_OWN, paths.SOURCE / "tests", d.control, *PORTS],
        capture_output=True, text=True, timeout=60, check=True)
    expected = [f"{service} greeted" if service in greeted else f"{service} refused user {uid}" for service in PORTS]
    assert result.stdout.splitlines() == expected


class Floods:
    """Hostile clients, of a user who may do nothing, while they run; a context. They leave the machine's processors to others, not
    the daemon's time."""

    def __init__(self, world, daemon, kinds, seconds=5):
        words = ["nice", "-n", "19", "setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups",
                 "/usr/bin/python3", paths.SOURCE / "tests" / "support" / "flood.py"]
        self.processes = [world.start([*words, kind, daemon.control, seconds], f"flood-{kind}") for kind in kinds]

    def __enter__(self):
        time.sleep(0.5)  # until they are at it
        return self

    def __exit__(self, *_):
        for process in self.processes:
            assert process.wait(60) == 0, process.log()

    def results(self):
        return [json.loads(process.log().splitlines()[-1]) for process in self.processes]


def time_claims(daemon, count=30):
    """Seconds that each claim takes, of a user of the daemon's, from its connection on."""
    taken = []
    for _ in range(count):
        begin = time.monotonic()
        with as_user(USER):
            control = Control(daemon, "mine")
        control.claim("::", 80)
        taken.append(time.monotonic() - begin)
        control.close()
        time.sleep(0.02)
    return taken


@pytest.mark.parametrize("kinds", [["connections"], ["messages"], ["errors"], ["unread"], ["hoard"],
                                   ["connections", "messages", "unread"]], ids="-".join)
def test_a_flood_costs_others_nothing(world, daemon, tmp_path, kinds):
    path = tmp_path / "handed.sock"
    d = daemon({**CONFIG, "services": {**CONFIG["services"], "handed": {"handoff": {"path": str(path)}}}})
    open_to_all(d)
    world.start([paths.RECEIVER, path, ""], "receiver")
    until(path.exists, what="the receiver binds")
    before = open_fds(d.process.pid)
    with Floods(world, d, kinds) as floods:
        load = Load(world, V6, port=84, seconds=2, concurrency=4, expect="client=")
        claims = time_claims(d)
        result = load.result()
        descriptors = len(os.listdir(f"/proc/{d.process.pid}/fd"))
        begin, spent = time.monotonic(), d.process.cpu_seconds()
        time.sleep(1)
        share = (d.process.cpu_seconds() - spent) / (time.monotonic() - begin)
    assert lost(result) == {}
    assert share < 0.4, share  # a quarter is theirs, and a tenth for accepting
    assert statistics.median(claims) < 0.1 and max(claims) < 1.5, claims
    assert descriptors < before + 256 + 128 + 32
    assert all(shown["connections"] > 100 for shown in floods.results()), floods.results()
    until(lambda: open_fds(d.process.pid) <= before + 2, what="nothing is left of it")


def test_answers_that_are_kept_hold_no_memory(world, daemon):
    """The memory of a file that is handed over stays the daemon's, whoever keeps it open."""
    d = daemon(CONFIG)
    open_to_all(d)
    with Floods(world, d, ["hoard"]) as floods:
        pass
    [result] = floods.results()
    assert result["files"] > 50 and result["bytes"] == 0, result


def test_many_users_share_what_silent_connections_there_may_be(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    clients = []
    for uid in range(20000, 20012):
        with as_user(uid):
            clients += [Control(d) for _ in range(150)]
    until(lambda: len(os.listdir(f"/proc/{d.process.pid}/fd")) < 1024 + 100, what="the daemon keeps a thousand")
    with as_user(USER):
        Control(d, "mine").claim("::", 80)
    with as_user(20000):
        assert Control(d).json()["version"]
    for client in clients:
        client.close()


def test_a_burst_of_a_service_s_own_does_not_wait(world, daemon):
    """A server that has a thousand sockets starts as quickly as ever."""
    ports = "10000-10999"
    d = daemon({"services": {"mine": {"allow": {"user": USER}}}, "routes": [{"to": V6, "port": ports, "service": "mine"}]})
    open_to_all(d)
    with as_user(USER):
        control = Control(d, "mine")
    begin = time.monotonic()
    sockets = [control.claim(V6, 10000 + number) for number in range(1000)]
    assert time.monotonic() - begin < 5
    for made in sockets:
        made.close()
