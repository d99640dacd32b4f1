# SPDX-License-Identifier: BSD-2-Clause
"""A service whose delivery changes, with its old program alive: the new one gets every new connection."""
import errno
import itertools
import os
import socket
import threading

import pytest

from support.a_protocol import Receiver
from support.control import REUSEPORT, Control, Refused
from support.traffic import Answers, ask, host_server
from support.world import V4, V6

# Goes on accepting for as long as it lives.
ACCEPT_FOR_EVER = """
import socket
s = socket.socket(fileno=0)
while True:
    c, _ = s.accept()
    c.settimeout(5)
    c.recv(2000)
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nwait')
    c.close()
"""
pytestmark = pytest.mark.both_engines

PAGE = r"HTTP/1.0 200 OK\r\n\r\n"


class Handoff:
    """Takes connections at a path and answers them, until it is closed."""

    def __init__(self, path):
        self.receiver = Receiver(path, timeout=None)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            with self.receiver.receive() as connection:
                connection.settimeout(5)
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhandoff")


class Deliveries:
    """Each way to serve, by name: what the configuration says of the service, and its program."""

    def __init__(self, world, tmp_path):
        self.world, self.path, self.held = world, tmp_path / "receiver.sock", []

    def config(self, name):
        return {"claim": {}, "group": {}, "exec": {"exec": {"command": ["/usr/bin/printf", PAGE + "exec"]}},
                "wait": {"exec": {"command": ["/usr/bin/python3", "-c", ACCEPT_FOR_EVER], "wait": True}},
                "handoff": {"handoff": {"path": str(self.path)}}, "relay": {"relay": {"to": "127.0.0.1:9"}}}[name]

    def whole(self, name):
        return {"services": {"a": self.config(name)}, "routes": [{"to": [V4, V6], "port": 80, "service": "a"}]}

    def begin(self, daemon, name):
        """Has the program serve, which goes on for as long as the test."""
        if name in ("claim", "group"):
            claimant = Control(daemon, "a")
            flags = REUSEPORT if name == "group" else 0
            self.held += [claimant] + [Answers(claimant.claim("::", flags=flags), name) for _ in range(2 if flags else 1)]
        elif name == "handoff" and not self.path.exists():
            self.held.append(Handoff(self.path))
        elif name == "relay" and not any(getattr(held, "page", b"").endswith(b"relay") for held in self.held):
            self.held.append(host_server(self.world, "127.0.0.1", 9, "relay"))

    def all_reach(self, name):
        for _ in range(4):
            for address in V4, V6:
                assert ask(self.world, address, timeout=10) == name


NAMES = ["claim", "group", "exec", "wait", "handoff", "relay"]


@pytest.fixture
def deliveries(world, tmp_path):
    return Deliveries(world, tmp_path)


def pairs(names):
    return [pair for pair in itertools.permutations(names, 2) if set(pair) != {"claim", "group"}]


def change(daemon, deliveries, old, new, how):
    started = daemon(deliveries.whole(old))
    deliveries.begin(started, old)
    deliveries.all_reach(old)
    if how == "reload":
        started.reload(deliveries.whole(new))
    else:
        started.write(deliveries.whole(new))
        started.restart()
    deliveries.begin(started, new)
    deliveries.all_reach(new)


@pytest.mark.kernel_engine  # programs that claim, or were given the socket, have it really bound without BPF
@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("old,new", pairs(NAMES))
def test_a_delivery_becomes_another(daemon, deliveries, old, new, how):
    change(daemon, deliveries, old, new, how)


@pytest.mark.user_engine  # the rest of what it can
@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("old,new", pairs(["exec", "handoff", "relay"]) + [(name, "wait") for name in ("exec", "handoff", "relay")])
def test_a_delivery_becomes_another_without_bpf(daemon, deliveries, old, new, how):
    change(daemon, deliveries, old, new, how)


@pytest.mark.user_engine
@pytest.mark.parametrize("new", ["exec", "handoff", "relay"])
def test_wait_becomes_another_without_bpf(daemon, deliveries, new):
    """The old program may take connections, too; the daemon must not end (it did)."""
    started = daemon(deliveries.whole("wait"))
    deliveries.all_reach("wait")
    started.reload(deliveries.whole(new))
    assert started.status()["services"][0]["delivery"] == new


@pytest.mark.kernel_engine
@pytest.mark.parametrize("flags", [0, REUSEPORT], ids=["single", "group"])
def test_a_claim_of_before_is_not_registered_for_another_delivery(daemon, deliveries, flags):
    started = daemon(deliveries.whole("claim"))
    with Control(started, "a").claim("::", flags=flags) as claimed:
        started.write(deliveries.whole("exec"))
        started.restart()
        with pytest.raises(Refused) as refused:
            Control(started, "a").register("::", flags=flags, fds=[] if flags else [claimed.fileno()])
        assert refused.value.errno == errno.EOPNOTSUPP
        deliveries.all_reach("exec")


@pytest.mark.kernel_engine  # the kernel's own selection passes over them
def test_members_that_are_shut_down_get_nothing(world, daemon):
    """Though their programs have not closed them."""
    started = daemon({"services": {"a": {}}, "routes": [{"to": [V4, V6], "port": 80, "service": "a"}]})
    claimant = Control(started, "a")
    first, second = (claimant.claim("::", flags=REUSEPORT) for _ in range(2))
    Answers(second, "second")
    first.shutdown(socket.SHUT_RDWR)
    assert [ask(world, address, timeout=2) for address in [V4, V6] * 20] == ["second"] * 40
    first.close()


@pytest.mark.kernel_engine  # there are none
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_placeholder_addresses_lead_nowhere(world, daemon, address):
    """A local user who connects to one would get past what routes say of sources."""
    started = daemon({"services": {"a": {}}, "routes": [{"to": [V4, V6], "port": 80, "from": "203.0.113.0/24", "service": "a"}]})
    claimant = Control(started, "a")
    Answers(claimant.claim(address), "past the routes")
    bound = socket.inet_ntop(socket.AF_INET, claimant.bound[12:])
    assert bound.startswith("127.")
    for target in [bound] + ([f"::ffff:{bound}"] if address == "::" else []):
        out = world.run(["/usr/bin/python3", "-c", f"import socket; socket.create_connection(('{target}', 80), 5)"],
                        netns=world.host, check=False)
        assert "ConnectionRefusedError" in out.stderr, out


@pytest.mark.user_engine
def test_the_lock_stays_with_a_daemon_that_falls_back(world, daemon):
    """The kernel engine is tried first, and is not to be had: what it had opened by then is closed, and nothing else is."""
    config = {"services": {"a": {}}, "routes": [{"to": V4, "port": 8080, "service": "a"}]}
    started = daemon(config, options=["--engine", "auto"], prefix=["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-all"])
    assert started.status()["engine"]["name"] == "user"
    for _ in range(2):
        assert os.readlink(f"/proc/{started.process.pid}/fd/0")
        locked = world.run(["flock", "-n", started.run_dir / "lock", "true"], check=False)
        assert locked.returncode == 1
        started.upgrade()
