# SPDX-License-Identifier: BSD-2-Clause
"""socketbox inetd: who gets a program and when, and how programs end."""
import pytest

from support.inetd import read_all
from support.process import until

CAT = "/bin/cat"


def test_instances_wait_in_order(inetd):
    receiver = inetd(CAT, options=["--instances", "2"])
    clients = [receiver.connect() for _ in range(8)]
    for client in clients:
        client.sendall(b"x")
    for turn, client in enumerate(clients):
        assert client.recv(1) == b"x"
        for later in clients[turn + 2:]:
            later.setblocking(False)
            with pytest.raises(BlockingIOError):
                later.recv(1)
            later.settimeout(30)
        client.close()
    receiver.says("exited with status 0", times=8)
    assert "refused" not in receiver.log()


def test_instances_refuse(inetd):
    receiver = inetd(CAT, options=["--instances", "1", "--when-full", "refuse", "--banner", "come back later\n"])
    with receiver.connect() as first:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        assert receiver.ask() == "come back later\n"
        receiver.says(r"refused 127.0.0.1:\d+: 1 processes run \(instances\)")
    receiver.says("exited with status 0")
    with receiver.connect() as next_one:
        next_one.sendall(b"y")
        assert next_one.recv(1) == b"y"


def test_per_source(inetd):
    receiver = inetd(CAT, options=["--per-source", "2"])
    held = [receiver.connect(source="127.0.0.2") for _ in range(2)]
    for client in held:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    assert receiver.ask(source="127.0.0.2") == ""
    receiver.says(r"refused 127.0.0.2:\d+: 2 processes run for its address")
    with receiver.connect(source="127.0.0.3") as other:
        other.sendall(b"y")
        assert other.recv(1) == b"y"
    held.pop().close()
    receiver.says(r"exited.*127.0.0.2")
    with receiver.connect(source="127.0.0.2") as again:
        again.sendall(b"z")
        assert again.recv(1) == b"z"
    held.pop().close()


def test_rate_delays_and_heals_itself(inetd):
    receiver = inetd("/bin/sh", "-c", "echo $$", options=["--rate", "4/s burst 2"])
    clients = [receiver.connect() for _ in range(6)]
    assert all(read_all(client).strip().isdigit() for client in clients)
    starts = receiver.log().count("started for")
    assert starts == 6 and "refused" not in receiver.log()
    receiver = inetd("/bin/sh", "-c", "echo served", options=["--rate", "2/m", "--when-full", "refuse"])
    answers = [receiver.ask() for _ in range(5)]
    assert answers == ["served\n", "served\n", "", "", ""]
    receiver.says(r"there are more connections than 2 per 60 s \(rate\)", times=3)


def test_allow_and_deny(inetd):
    receiver = inetd("/bin/echo", "hello", options=[
        "--allow-from", "127.0.0.0/8", "--deny-from", "127.0.1.0/24", "--allow-from", "127.0.1.7",
        "--banner", "not you\n", "--banner-start", "welcome\n"])
    assert receiver.ask(source="127.0.0.1") == "welcome\nhello\n"
    assert receiver.ask(source="127.0.1.1") == "not you\n"
    assert receiver.ask(source="127.0.1.7") == "welcome\nhello\n"
    assert receiver.ask(source="::1", address="::1") == "not you\n"
    receiver.says(r"refused \[::1\]:\d+: its address is not allowed")


def test_thousands_of_programs_leave_nothing_behind(inetd):
    receiver = inetd("/bin/true", options=["--instances", "50", "--log", "failures"])
    receiver.ask()
    until(lambda: not receiver.children())
    before = receiver.fds()
    clients = []
    for _ in range(3000):
        clients.append(receiver.connect())
        if len(clients) == 200:
            for client in clients:
                assert read_all(client) == ""
                client.close()
            clients = []
    until(lambda: not receiver.children(), what="no child and no zombie is left")
    assert receiver.fds() == before
    assert "cannot" not in receiver.log()


def test_shortage_of_descriptors_makes_connections_wait(inetd):
    receiver = inetd(CAT, prefix=["prlimit", "--nofile=24:24"])
    clients = [receiver.connect() for _ in range(12)]
    for client in clients:
        client.sendall(b"x")
    receiver.says("cannot start programs now|cannot take connections now")
    for client in clients:
        assert client.recv(1) == b"x"
        client.close()
    receiver.says("exited with status 0", times=12)


def test_max_time_and_ending(inetd):
    receiver = inetd("/bin/sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60",
                     options=["--max-time", "200ms", "--stop-timeout", "200ms"])
    assert receiver.ask() == ""
    receiver.says("has run for max-time")
    receiver.says(r"killed by signal 9 \(SIGKILL\)")


@pytest.mark.parametrize("on_stop", ["leave", "end"])
def test_programs_when_the_receiver_ends(inetd, on_stop):
    receiver = inetd(CAT, options=["--on-stop", on_stop, "--kill-signal", "HUP"])
    with receiver.connect() as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert receiver.stop() == 0
        assert not receiver.path.exists()
        if on_stop == "leave":
            client.sendall(b"y")
            assert client.recv(1) == b"y"
        else:
            assert client.recv(1) == b""
            receiver.says(r"killed by signal 1 \(SIGHUP\)")
