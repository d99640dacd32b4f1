# SPDX-License-Identifier: BSD-2-Clause
"""socketbox inetd: the socket that connections come from, and the command line."""
import os
import signal
import socket
import subprocess

import pytest

from support import paths
from support.inetd import Inetd, read_all, remove_cgroup, tcp_pair
from support.process import Process, until
from support.traffic import connect
from support.world import V4

CAT = "/bin/cat"


@pytest.fixture
def inherited(tmp_path):
    """Starts receivers on inherited sockets, which end with the test: inherited(socket, *words)."""
    made = []

    def start(*words, **more):
        made.append(start_inherited(*words, tmp_path=tmp_path, **more))
        return made[-1]
    yield start
    for popen in made:
        popen.terminate()
        popen.wait(20)
        until(lambda: remove_cgroup(popen.pid), what="programs that live on have ended")


def start_inherited(sock, *words, tmp_path, name="inherited"):
    os.set_inheritable(sock.fileno(), True)
    with open(tmp_path / f"{name}.log", "ab") as log:
        return subprocess.Popen([paths.CLI, "inetd", *map(str, words)], pass_fds=[sock.fileno()], stderr=log)


def test_bad_messages_are_refused_and_closed(inetd, tmp_path):
    receiver = inetd("/bin/echo", "hello")
    receiver.ask()
    until(lambda: not receiver.children())
    before = receiver.fds()
    with open("/dev/null", "rb") as null, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, \
            socket.create_server(("127.0.0.1", 0)) as listener:
        receiver.hand(null.fileno())
        receiver.hand(datagrams.fileno())
        receiver.hand(listener.fileno())
        receiver.hand()
        receiver.says("not a connected stream socket", times=3)
        receiver.says("a message came without a connection")
        client, server = tcp_pair()
        receiver.hand(server.fileno(), null.fileno(), datagrams.fileno())
        server.close()
        assert read_all(client) == "hello\n"
        client.close()
    until(lambda: not receiver.children() and receiver.fds() == before, what="all extra descriptors are closed")


def test_stale_socket_is_replaced_and_a_live_one_is_not(inetd, tmp_path):
    receiver = inetd("/bin/echo", "first")
    again = subprocess.run([paths.CLI, "inetd", receiver.path, "/bin/echo"], capture_output=True, text=True,
                           timeout=20, check=False)
    assert again.returncode == 1 and "somebody serves" in again.stderr
    receiver.process.stop(signal.SIGKILL)
    assert receiver.path.exists()
    remove_cgroup(receiver.process.pid)
    replaced = Inetd(tmp_path, "/bin/echo", "second", name="other", options=["--mode", "0600"])
    replaced.stop()
    os.rename(receiver.path, replaced.path)
    renewed = Process([paths.CLI, "inetd", "--mode", "0600", replaced.path, "/bin/echo", "second"], tmp_path / "renewed.log")
    try:
        replaced.process, replaced.sender = renewed, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        until(lambda: replaced.sender.connect_ex(str(replaced.path)) == 0)
        assert replaced.ask() == "second\n"
        assert os.stat(replaced.path).st_mode & 0o777 == 0o600
    finally:
        renewed.stop()
        until(lambda: remove_cgroup(renewed.pid))
    (tmp_path / "file").write_text("precious")
    wrong = subprocess.run([paths.CLI, "inetd", tmp_path / "file", "/bin/echo"], capture_output=True, text=True,
                           timeout=20, check=False)
    assert wrong.returncode == 1 and "is there and is not a socket" in wrong.stderr
    assert (tmp_path / "file").read_text() == "precious"


def test_inherited_sockets(inherited):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    popen = inherited(theirs, theirs.fileno(), "/bin/echo", "hello")
    theirs.close()
    client, server = tcp_pair()
    socket.send_fds(ours, [b"A"], [server.fileno()])
    server.close()
    assert read_all(client) == "hello\n"
    ours.close()
    assert popen.wait(20) == 0, "the end of the sender is the end"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        popen = inherited(listener, listener.fileno(), "/bin/echo", "accepted")
        with socket.create_connection(listener.getsockname()) as client:
            client.settimeout(30)
            assert read_all(client) == "accepted\n"
        popen.terminate()
        assert popen.wait(20) == 0


def test_with_socketbox_open(world):
    """As docs/from-inetd.md has it."""
    path = {"PATH": f"{paths.CLI.parent}:{os.environ['PATH']}"}
    receiver = world.start([paths.CLI, "open", f"tcp://{V4}:79", "--", "socketbox", "inetd", "--instances", "40",
                            "--user", "nobody", "--groups", "none", "3", "id", "-un"], "opened",
                           netns=world.host, env=dict(os.environ, **path))

    def ask():
        try:
            with connect(world, V4, 79) as client:
                return read_all(client)
        except ConnectionRefusedError:
            return None
    assert until(ask) == "nobody\n"
    receiver.stop()
    until(lambda: remove_cgroup(receiver.pid))


def test_wait_gives_the_listening_socket_to_one_program_at_a_time(inherited, tmp_path):
    server = ("import os, socket, time\n"
              "assert os.environ['LISTEN_FDS'] == '1' and int(os.environ['LISTEN_PID']) == os.getpid()\n"
              "s = socket.socket(fileno=3)\nassert os.fstat(0).st_ino == os.fstat(3).st_ino\n"
              "s.settimeout(1.5)\n"
              "while True:\n"
              "    try:\n        c, _ = s.accept()\n"
              "    except TimeoutError:\n        break\n"
              "    c.sendall(str(os.getpid()).encode())\n    c.close()\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        inherited(listener, "--wait", listener.fileno(), "/usr/bin/python3", "-c", server)

        def ask():
            with socket.create_connection(listener.getsockname()) as client:
                client.settimeout(30)
                return read_all(client)
        first = ask()
        assert first == ask() == ask()
        until(lambda: "exited with status 0" in (tmp_path / "inherited.log").read_text(), timeout=30)
        assert ask() not in ("", first)


def test_wait_with_udp_and_with_a_program_that_fails(inherited, tmp_path):
    server = "import socket; s = socket.socket(fileno=0); d, a = s.recvfrom(100); s.sendto(b'got ' + d, a)"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        udp.bind(("127.0.0.1", 0))
        client.connect(udp.getsockname())
        client.settimeout(30)
        popen = inherited(udp, "--wait", udp.fileno(), "/usr/bin/python3", "-c", server)
        for word in (b"one", b"two"):
            client.send(word)
            assert client.recv(100) == b"got " + word
        popen.terminate()
        popen.wait(20)
        inherited(udp, "--wait", udp.fileno(), "/bin/false", name="fails")
        client.send(b"x")
        until(lambda: (tmp_path / "fails.log").read_text().count("exited with status 1") >= 3, timeout=30)
        assert (tmp_path / "fails.log").read_text().count("started") < 20, "it is not started without end"


@pytest.mark.parametrize("words,message", [
    ([], "a socket is missing"),
    (["/tmp/x"], "a program is missing"),
    (["--instance", "3", "/tmp/x", CAT], "unknown option '--instance'"),
    (["--nice", "20", "/tmp/x", CAT], "--nice: '20' is not a nice value; write a number from -20 to 19"),
    (["--nice", "2", "--nice", "3", "/tmp/x", CAT], "--nice is given twice"),
    (["--rate", "5", "/tmp/x", CAT], "--rate: '5' is not a rate"),
    (["--user", "no-such-user", "/tmp/x", CAT], "--user: there is no user 'no-such-user' on this machine"),
    (["--user", "54321", "/tmp/x", CAT], "so its group is not known; name a group too"),
    (["--wait", "--per-source", "3", "/tmp/x", CAT], "with wait the program accepts connections itself"),
    (["--stderr", "here", "/tmp/x", CAT], "--stderr: 'here' cannot stand here; write log, socket or null"),
    (["--mode", "9", "/tmp/x", CAT], "--mode: '9' is not a mode"),
    (["--env"], "a value for '--env' is missing"),
])
def test_wrong_command_lines(words, message):
    result = subprocess.run([paths.CLI, "inetd", *words], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2
    assert f"socketbox inetd: {message}" in result.stderr or message in result.stderr
    assert "usage: socketbox inetd" in result.stderr


def test_called_by_the_name_of_the_original(tmp_path):
    link = tmp_path / "socketbox-inetd"
    link.symlink_to(paths.CLI)
    result = subprocess.run([link, "--nice", "20", "x", CAT], capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2 and "usage: socketbox inetd" in result.stderr
