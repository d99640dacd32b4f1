# SPDX-License-Identifier: BSD-2-Clause
"""libsocketbox, by its examples and by its functions."""
import ctypes
import errno
import os
import shutil
import socket
import subprocess
import time

import pytest

from support import a_protocol, paths
from support.preload import Directory, ask
from support.process import Process, until
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

NONBLOCK = socket.SOCK_NONBLOCK
CONFIG = {"engine": "user", "services": {"a": {"hold": "10s"}}, "routes": [{"to": [V4, V6], "port": 80, "service": "a"}]}


@pytest.fixture
def library():
    if paths.SANITIZED and "libasan" not in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("AddressSanitizer wants to be the first library of this process; the examples run under it")
    loaded = ctypes.CDLL(str(paths.LIBRARY))
    loaded.socketbox_version.restype = ctypes.c_char_p
    return loaded


@pytest.fixture
def directory():
    with Directory() as path:
        yield path


@pytest.fixture
def run(tmp_path):
    """Programs that end with the test: run(command)."""
    started = []

    def start(*command, **options):
        started.append(Process(command, tmp_path / f"{len(started)}.log", **options))
        return started[-1]
    yield start
    for process in started:
        process.stop()


def encoded(path):
    return str(path).encode()


def is_cloexec(fd):
    return not os.get_inheritable(fd)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_receives_from_a_sender_of_the_protocol(library, directory, family):
    receiver = library.socketbox_receiver_open(encoded(directory / "r"), 0o640)
    assert receiver >= 0 and is_cloexec(receiver)
    assert (directory / "r").stat().st_mode & 0o777 == 0o640
    client, server = a_protocol.tcp_pair(family)
    a_protocol.send(directory / "r", server)
    connection = library.socketbox_receive(receiver, 0)
    assert is_cloexec(connection)
    with socket.socket(fileno=connection) as got:
        assert (got.getpeername(), got.getblocking()) == (client.getsockname(), True)
    os.close(receiver)


def test_sends_to_a_receiver_of_the_protocol(library, directory):
    receiver = a_protocol.Receiver(directory / "r")
    client, server = a_protocol.tcp_pair()
    assert library.socketbox_send(encoded(directory / "r"), server.fileno(), 1000) == 0
    with receiver.receive() as got:
        assert got.getpeername() == client.getsockname()


def test_other_messages(library, directory):
    receiver = library.socketbox_receiver_open(encoded(directory / "r"), 0o600)
    assert library.socketbox_receive(receiver, NONBLOCK) == -errno.EAGAIN
    assert library.socketbox_receive(receiver, 1) == -errno.EINVAL
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(str(directory / "r"))
        channel.send(b"A")
        assert library.socketbox_receive(receiver, 0) == -errno.EBADMSG
        with open("/dev/null", "rb") as file:
            socket.send_fds(channel, [b"A"], [file.fileno()])
        assert library.socketbox_receive(receiver, 0) == -errno.EPROTOTYPE
        client, server = a_protocol.tcp_pair()
        other, extra = a_protocol.tcp_pair()
        socket.send_fds(channel, [b"A"], [server.fileno(), extra.fileno()])
        extra.close()
        socket.socket(fileno=library.socketbox_receive(receiver, 0)).close()
        assert other.recv(1) == b""
    os.close(receiver)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_over_a_connection(library, kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    pairs = [a_protocol.tcp_pair() for _ in range(3)]
    for _, server in pairs:
        assert library.socketbox_send_to(theirs.fileno(), server.fileno(), -1) == 0
    theirs.close()
    for client, _ in pairs:
        with socket.socket(fileno=library.socketbox_receive(ours.fileno(), 0)) as got:
            assert got.getpeername() == client.getsockname()
    assert library.socketbox_receive(ours.fileno(), 0) == -errno.ENODATA


def test_full_receiver_makes_the_sender_wait(library, directory):
    """Nothing is dropped: what was sent arrives, what was not is told."""
    receiver = a_protocol.Receiver(directory / "r")
    pairs = [a_protocol.tcp_pair() for _ in range(40)]
    sent = []
    for client, server in pairs:
        result = library.socketbox_send(encoded(directory / "r"), server.fileno(), 0)
        if result == -errno.ETIMEDOUT:
            break
        assert result == 0
        sent.append(client.getsockname())
    assert 0 < len(sent) < 40
    began = time.monotonic()
    assert library.socketbox_send(encoded(directory / "r"), pairs[-1][1].fileno(), 200) == -errno.ETIMEDOUT
    assert time.monotonic() - began >= 0.2
    for name in sent:
        with receiver.receive() as got:
            assert got.getpeername() == name
    assert library.socketbox_send(encoded(directory / "r"), pairs[-1][1].fileno(), 0) == 0


def test_errors_of_send(library, directory):
    client, server = a_protocol.tcp_pair()
    assert library.socketbox_send(encoded(directory / "none"), server.fileno(), 0) == -errno.ENOENT
    receiver = a_protocol.Receiver(directory / "r")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        assert library.socketbox_send(encoded(directory / "r"), udp.fileno(), 0) == -errno.EPROTOTYPE
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert library.socketbox_send(encoded(directory / "r"), listener.fileno(), 0) == -errno.EPROTOTYPE
    receiver.channel.close()
    assert library.socketbox_send(encoded(directory / "r"), server.fileno(), 0) == -errno.ECONNREFUSED
    assert library.socketbox_send(encoded("/" + "x" * 200), server.fileno(), 0) == -errno.ENAMETOOLONG


def test_receiver_files(library, directory):
    """Live: refused. Stale: replaced in one step, so that the file is never missing. No socket: refused."""
    first = library.socketbox_receiver_open(encoded(directory / "r"), 0o600)
    assert library.socketbox_receiver_open(encoded(directory / "r"), 0o600) == -errno.EADDRINUSE
    os.close(first)
    second = library.socketbox_receiver_open(encoded(directory / "r"), 0o600)
    assert second >= 0
    (directory / "file").write_text("precious")
    assert library.socketbox_receiver_open(encoded(directory / "file"), 0o600) == -errno.EADDRINUSE
    assert library.socketbox_receiver_open(encoded(directory / ("x" * 90)), 0o600) == -errno.ENAMETOOLONG
    assert sorted(os.listdir(directory)) == ["file", "r"]
    os.close(second)


def test_example_receivers(directory, run):
    for command in ([paths.EXAMPLES_BUILT / "receive"], ["/usr/bin/python3", paths.EXAMPLES / "receive.py"]):
        process = run(*command, directory / "r")
        until((directory / "r").exists)
        until(lambda: answers(directory / "r"))
        process.stop()


def answers(path):
    try:
        return ask(path)[0] == "hello 127.0.0.1"
    except ConnectionRefusedError:
        return False  # the file of the one before


def test_example_sender_in_c(world, directory):
    world.start([paths.EXAMPLES_BUILT / "receive", directory / "r"], "receive")
    world.start([paths.EXAMPLES_BUILT / "send", "8080", directory / "r"], "send", netns=world.client)
    assert until(lambda: world.curl("http://127.0.0.1:8080/", check=False)) == "hello 127.0.0.1\n"


@pytest.mark.parametrize("command", [
    [paths.EXAMPLES_BUILT / "claim"], ["/usr/bin/python3", paths.EXAMPLES / "library.py"],
    ["/usr/bin/python3", paths.EXAMPLES / "claim.py"]], ids=["claim.c", "library.py", "claim.py"])
def test_example_claims(world, daemon, command):
    if "library.py" in str(command) and paths.SANITIZED:
        pytest.skip("AddressSanitizer wants to be the first library")
    d = daemon(CONFIG)
    environment = dict(os.environ, SOCKETBOX_CONTROL=str(d.control), LIBSOCKETBOX=str(paths.LIBRARY))
    process = world.start([*command, "a", "80"], "claim", netns=world.host, env=environment)
    assert until(lambda: world.curl(f"http://[{V6}]/", check=False), 30).split()[-1] in (CLIENT_V6, V6)
    assert CLIENT_V4 in world.curl(f"http://{V4}/")
    if command[0] == paths.EXAMPLES_BUILT / "claim":
        d.restart()
        until(lambda: "connected again" in process.log(), 30)
        assert until(lambda: d.claims("a"))[0]["state"] == "claimed"
        assert CLIENT_V4 in world.curl(f"http://{V4}/")


def test_example_claim_says_what_is_wrong(world, daemon):
    d = daemon(CONFIG)
    environment = dict(os.environ, SOCKETBOX_CONTROL=str(d.control))

    def fails(*words, env=environment):
        return world.run([paths.EXAMPLES_BUILT / "claim", *words], netns=world.host, env=env, check=False).stderr
    assert "no route of service 'a' covers tcp [::]:81" in fails("a", "81")
    assert "there is no service 'b'" in fails("b", "80")
    assert "socketboxd does not answer on /nonexistent" in fails("a", "80", env=dict(environment, SOCKETBOX_CONTROL="/nonexistent"))


def test_version_and_exports(library):
    assert library.socketbox_version() == b"0.1.0"
    names = subprocess.run(["nm", "-D", "--defined-only", paths.LIBRARY], capture_output=True, text=True, check=True).stdout
    assert {line.split()[2].split("@")[0] for line in names.splitlines()} - {"SOCKETBOX_0.1"} == {
        "socketbox_claim", "socketbox_connect", "socketbox_error", "socketbox_fd", "socketbox_free", "socketbox_new",
        "socketbox_receive", "socketbox_receiver_open", "socketbox_send", "socketbox_send_to", "socketbox_sender_open",
        "socketbox_version"}


def test_header_is_enough_for_c_and_cxx(tmp_path):
    include = paths.SOURCE / "include"
    for compiler, name in (("cc", "x.c"), ("c++", "x.cc")):
        if not shutil.which(compiler):
            continue
        (tmp_path / name).write_text('#include <socketbox.h>\nint main(void) { return !socketbox_version(); }\n')
        subprocess.run([compiler, "-Wall", "-Werror", "-pedantic", f"-I{include}", "-c", "-o", tmp_path / "x.o",
                        tmp_path / name], check=True)
