# SPDX-License-Identifier: BSD-2-Clause
"""Each call that the daemon makes while it serves one request or connection is failed in turn. It answers, it keeps its
state and its descriptors and memory, and the next request is served."""
import errno
import json
import os
import time

import pytest

from support import faults, paths
from support.control import DRAIN, UDP, Control, Refused
from support.faults import Faults
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask, ask_udp, host_server
from support.world import V4, V6

KINDS = {"memory": (faults.MEMORY, errno.ENOMEM), "descriptors": (faults.DESCRIPTORS, errno.EMFILE),
         "sockets": (faults.SOCKETS, errno.ENOBUFS), "messages": (faults.MESSAGES, errno.ENOMEM),
         "bpf": (faults.BPF, errno.E2BIG), "events": (faults.EVENTS, errno.ENOSPC),
         "questions": (faults.QUESTIONS, errno.EACCES)}
MOST = 400  # calls of one kind for one request; more would be a loop
STARTED = "dd bs=4096 count=1 >/dev/null 2>&1; printf 'HTTP/1.0 200 OK\\r\\n\\r\\nstarted'"
RESET, CLOSED = "reset", "closed"


def config(path):
    return {"services": {"a": {"hold": "0s"}, "kept": {"hold": "60s"},
                         "handed": {"handoff": {"path": str(path), "hold": "5s"}},
                         "started": {"exec": {"command": ["/bin/sh", "-c", STARTED],
                                              "cgroup": "none", "log": "failures"}},
                         "relayed": {"relay": {"to": f"{V4}:9000"}}},
            "routes": [{"to": [V4, V6], "port": [80, 81], "service": "a"},
                       {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "a"},
                       {"to": [V4, V6], "port": 90, "service": "kept"},
                       {"to": [V4, V6], "port": 82, "service": "handed"},
                       {"to": [V4, V6], "port": 83, "service": "started"},
                       {"to": [V4, V6], "port": 84, "service": "relayed"}]}


class Subject:
    """A daemon that can be made to fail, and what is to stay as it is."""

    def __init__(self, world, daemon, tmp_path):
        self.world, self.path = world, tmp_path / "handed.sock"
        self.faults = Faults(tmp_path / "faults")
        self.daemon = daemon(config(self.path), prefix=self.faults.prefix)
        self.pid = self.daemon.process.pid
        self.kept = Control(self.daemon, "kept")
        Answers(self.kept.claim("::", 90), "kept")

    def state(self):
        """What is not a count of what has happened."""
        control = Control(self.daemon)
        try:
            status = control.json()
        finally:
            control.channel.close()
        claims = {service["name"]: [dict(claim, hold_left_ms=None) for claim in service["claims"]]
                  for service in status["services"] if service.get("claims")}
        handed = next(service["handoff"]["destinations"] for service in status["services"]
                      if service["name"] == "handed")
        drained = [service["name"] for service in status["services"] if "draining" in service]
        return json.dumps([claims, handed, [listener["paused"] for listener in status["listeners"]], drained])

    def holdings(self):
        """AddressSanitizer allocates by ways of its own, and looks for leaks itself at the end."""
        return len(os.listdir(f"/proc/{self.pid}/fd")), 0 if paths.SANITIZED else self.faults.live

    def walk(self, request, served):
        """Fails each call of a request in turn. request() tells how it went, and served are the good endings. Returns
        how many calls of each kind there were."""
        for _ in range(3):  # what is made once and kept
            assert request() in served
        self.endings = {kind: set() for kind in KINDS}
        self.state_before, self.holdings_before = self.state(), self.settled()
        return {kind: self.walk_kind(kind, request, served) for kind in KINDS}

    def walk_kind(self, kind, request, served):
        for first in range(1, MOST):
            if not self.fail(kind, first, request, served):
                assert ask(self.world, V6, 90) == "kept"
                return first - 1
            # What is kept for the next time is kept once; what leaks, leaks again.
            for _ in range(3):
                if self.regained():
                    break
                self.holdings_before = self.settled()
                self.fail(kind, first, request, served)
            assert self.regained(), f"{kind} {first} leaks: {self.settled()} after {self.holdings_before}"
        raise AssertionError(f"{kind}: more than {MOST} calls")

    def fail(self, kind, first, request, served):
        """One request of which that call fails, and one more. False if there is no such call."""
        with self.faults.armed(*KINDS[kind], first, 1):
            went = request()
            failed, what = self.faults.failed, f"{kind} {first} ({self.faults.last})"
        assert self.daemon.process.running(), what
        assert went != SILENT, what
        self.endings[kind].add(went)
        if failed:
            until(lambda: self.state() == self.state_before, what=f"the state after {what}")
            went = request()
        assert went in served, f"{went} after {what}"
        return failed

    def regained(self):
        """Whether the descriptors and allocations are those of before, now or soon."""
        end = time.monotonic() + 1
        while self.holdings() != self.holdings_before and time.monotonic() < end:
            time.sleep(0.01)
        return self.holdings() == self.holdings_before

    def settled(self):
        seen = []

        def steady():
            seen.append(self.holdings())
            return len(seen) > 10 and len(set(seen[-10:])) == 1
        until(steady, what="the daemon rests")
        return seen[-1]


@pytest.fixture
def subject(world, daemon, tmp_path):
    return Subject(world, daemon, tmp_path)


def claiming(subject, port, asker, text, **fields):
    """A claim from connecting to closing; the socket that it yields serves."""
    def request():
        control = None
        try:
            control = Control(subject.daemon, "a")
            answers = Answers(control.claim("::", port, **fields), text)
        except Refused as refused:
            assert refused.errno in errno.errorcode and refused.strerror and refused.strerror.isprintable(), refused
            return REFUSED
        except (ConnectionError, AssertionError):
            return CLOSED
        finally:
            if control and not control.socket:
                control.channel.close()
        subject.faults.disarm()
        heard = [asker(subject.world, address, port) for address in (V4, V6)]
        answers.stop()
        control.close()
        control.channel.close()
        return heard[0] if heard[0] == heard[1] else f"{heard}"
    return request


def asking(subject, port):
    def request():
        try:
            return ask(subject.world, V6, port, timeout=5)
        except (ConnectionError, IndexError):
            return RESET
    return request


def test_a_claim(subject):
    walked = subject.walk(claiming(subject, 80, ask, "claimed"), ["claimed"])
    assert walked["sockets"] >= 5 and walked["bpf"] >= 2 and walked["memory"] >= 5, walked


def test_a_claim_with_reuseport(subject):
    walked = subject.walk(claiming(subject, 81, ask, "claimed", flags=2), ["claimed"])
    assert walked["bpf"] >= 4, walked


def test_a_claim_of_udp(subject):
    walked = subject.walk(claiming(subject, 53, ask_udp, "claimed", protocol=UDP), ["claimed"])
    assert walked["bpf"] >= 2, walked


def drain(subject, action):
    """Asks for the beginning (1) or the end (2) of a drain, and returns how that went."""
    control = Control(subject.daemon)
    try:
        return control.json(DRAIN, b"a".ljust(64, b"\0") + action.to_bytes(8, "little"))["changed"]
    except Refused as refused:
        assert refused.errno in errno.errorcode and refused.strerror and refused.strerror.isprintable(), refused
        return REFUSED
    except (ConnectionError, AssertionError):
        return CLOSED
    finally:
        control.channel.close()


def test_a_drain(subject):
    control = Control(subject.daemon, "a")
    Answers(control.claim("::", 80), "claimed")

    def request():
        began = drain(subject, 1)
        ended = drain(subject, 2)
        subject.faults.disarm()
        if ended is not True:
            ended = drain(subject, 2)  # it goes on, and can be ended
        assert began is not True or ended in (True, False)
        assert ask(subject.world, V6) == "claimed"
        return "drained" if (began, ended) == (True, True) else REFUSED
    walked = subject.walk(request, ["drained"])
    assert walked["bpf"] >= 4 and walked["memory"] >= 5, walked


def test_a_handoff(subject):
    subject.world.start([paths.RECEIVER, subject.path, ""], "receiver")
    until(subject.path.exists, what="the receiver binds")
    page = f"client=2001:db8::100 server={V6} \n"
    walked = subject.walk(asking(subject, 82), [page])
    assert walked["messages"] >= 1, walked
    assert subject.endings["messages"] == {page}, "what can be sent later is not refused"


def test_a_program_for_a_connection(subject):
    walked = subject.walk(asking(subject, 83), ["started"])
    assert walked["events"] >= 2, walked


def test_a_relayed_connection(subject):
    backend = host_server(subject.world, V4, 9000, "relayed")
    walked = subject.walk(asking(subject, 84), ["relayed"])
    assert walked["events"] >= 2, walked
    backend.stop()
