# SPDX-License-Identifier: BSD-2-Clause
"""libsocketbox-preload.so: the original's addresses, and a listener that cannot be told from a TCP one."""
import os
import socket
import stat
import subprocess
import threading

import pytest

from support import a_protocol, paths
from support.launch import program
from support.preload import Directory, Program, ask, environment, virtual

DESCRIBED = """name [fe8f::2:1:2]:80 length 28
short: told 28, family 10
domain 10 type 1 protocol 6 accepts 1 error 0 reuse 1
peer Transport endpoint is not connected
nodelay {nodelay} defer 0 maxseg 536
info 1 state 10
again Invalid argument
"""


@pytest.fixture
def directory():
    with Directory() as path:
        yield path


@pytest.fixture
def start(directory):
    """Starts the test program: start(mode); its listener is at start.path."""
    address, path = virtual(directory)
    started = []

    def run(mode, address=address, port=80, **env):
        started.append(Program([program("preloaded"), mode, address, port], environment(directory, **env)))
        return started[-1]
    run.path, run.address, run.directory = path, address, directory
    yield run
    for each in started:
        each.__exit__()


def test_listener_describes_itself_as_tcp(start):
    assert start("describe").rest() == "ready\n" + DESCRIBED.format(nodelay=0)


def test_socket_file(start):
    p = start("every")
    p.ready()
    assert stat.S_IMODE(start.path.stat().st_mode) == 0o660
    assert os.listdir(start.path.parent) == [start.path.name]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_duplicates(start, family):
    p = start("dup")
    p.ready()
    for word in ("dup", "dup2"):
        answer, client = ask(start.path, a_protocol.tcp_pair(family))
        assert answer == f"{word} {client}"
    p.rest()


def test_forked_workers(start):
    p = start("fork")
    p.ready()
    for _ in range(3):
        answer, client = ask(start.path)
        assert answer == f"worker {client}"
    assert p.rest() == DESCRIBED.format(nodelay=0)


def test_threads_share_a_listener(start):
    p = start("threads")
    p.ready()
    answers = []

    def client():
        for _ in range(10):
            answer, own = ask(start.path)
            answers.append(answer == f"thread {own}")
    threads = [threading.Thread(target=client) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p.rest()
    assert answers == [True] * 100


def test_inherited_listener_is_the_same_after_exec(start):
    p = start("exec")
    p.ready()
    answer, client = ask(start.path)
    assert answer == f"inherited {client}"
    assert p.rest() == DESCRIBED.format(nodelay=1)


def test_options_of_the_listener_are_the_connections(start):
    p = start("options")
    assert p.ready() == ("setsockopt 6 5: Invalid argument\nsetsockopt 1 44: Protocol not available\n"
                         "listener: nodelay 1 defer 1 timeout 4243 keepalive 1 idle 77\n")
    assert ask(start.path)[0] == "served"
    assert p.rest() == "connection: nodelay 1 timeout 4243 keepalive 1 idle 77 rcvbuf 120000 reno\n"


def test_ways_to_wait(start):
    p = start("wait")
    p.ready()
    assert p.ready() == "flags 1 1\nempty: Resource temporarily unavailable\n"
    for word in ("poll", "select"):
        answer, client = ask(start.path)
        assert answer == f"{word} {client}"
    assert ask(start.path)[0] == "epoll"
    assert ask(start.path)[0] == "plain"
    assert p.rest() == ("poll 1\nselect 1\nepoll 1\n"
                        "accept4: nonblock 1 cloexec 1\naccept: nonblock 0 cloexec 0\n")


def test_signals_timeouts_and_odd_arguments(start):
    p = start("odd")
    p.ready()
    assert p.ready() == ("signal: Interrupted system call\ntimeout: Resource temporarily unavailable\n"
                         "flags: Invalid argument\nno length: Bad address\n")
    assert ask(start.path)[0] == "short"
    assert p.rest() == "short: told 16, family 2, beyond 55\nshutdown 0\nafter: Invalid argument\n"


def test_what_is_no_connection_is_refused_and_closed(start):
    """Two descriptors in one message, none, a file, a datagram socket, a connection that is gone."""
    p = start("every")
    p.ready()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.connect(str(start.path))
    channel.send(b"A")
    channel.send(b"")
    with open("/dev/null", "rb") as file:
        socket.send_fds(channel, [b"A"], [file.fileno()])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        socket.send_fds(channel, [b"A"], [udp.fileno()])
    client, server = a_protocol.tcp_pair()
    extra_client, extra = a_protocol.tcp_pair()
    socket.send_fds(channel, [b"A"], [server.fileno(), extra.fileno()])
    server.close()
    extra.close()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert client.recv(4096).endswith(b"every\n")
    assert extra_client.recv(1) == b""
    p.kill()
    assert p.popen.communicate()[0] == "refused: Software caused connection abort\n" * 4


def test_other_preload_library(start):
    """Before ours it sees what the program calls, after ours what we call."""
    for order, seen in ({"before": [program("libother_preload.so")]}, "1 binds, 2 accepts"), \
                       ({"after": [program("libother_preload.so")]}, "1 binds, 0 accepts"):
        with Program([program("preloaded"), "dup", start.address, 80], environment(start.directory, **order)) as p:
            p.ready()
            assert [ask(start.path)[0].split()[0] for _ in range(2)] == ["dup", "dup2"]
            assert p.rest() == f"other library: {seen}\n"


def test_stale_socket_file_is_replaced(start):
    p = start("every")
    p.ready()
    p.kill()
    inode = start.path.stat().st_ino
    start("every").ready()
    assert start.path.stat().st_ino != inode
    assert ask(start.path)[0] == "every"


def test_live_socket_file_is_in_use(start):
    start("every").ready()
    second = subprocess.run([program("preloaded"), "every", start.address, "80"], env=environment(start.directory),
                            capture_output=True, text=True, check=False)
    assert second.stderr == "bind: Address already in use\n"
    assert ask(start.path)[0] == "every"
    assert os.listdir(start.path.parent) == [start.path.name]


def test_what_is_no_socket_is_never_replaced(start):
    start.path.write_text("precious")
    result = subprocess.run([program("preloaded"), "every", start.address, "80"], env=environment(start.directory),
                            capture_output=True, text=True, check=False)
    assert result.stderr == "bind: Address already in use\n"
    assert start.path.read_text() == "precious"


@pytest.mark.parametrize("kind", [0, 1])
def test_records(start, kind):
    """fe8f::K:X:Y with K 0 or 1: record Y of 128 bytes in skbox_dir_X, with the port filled in."""
    record = str(start.directory / "at-_@SB_").encode()
    (start.directory / "skbox_dir_00007").write_bytes(bytes(128 * 3) + record.ljust(128, b"\0"))
    p = start("every", f"fe8f::{kind}:7:3", 443, SKBOX_DIRECTORY_ROOT=str(start.directory))
    p.ready()
    path = start.directory / "at-00443"
    if kind == 0:
        assert ask(path)[0] == "every"
        return
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(4096).endswith(b"every\n")


def test_record_past_the_end_of_the_file(start):
    (start.directory / "skbox_dir_00007").write_bytes(bytes(200))
    result = subprocess.run([program("preloaded"), "every", "fe8f::7:2", "80"], capture_output=True, text=True, check=False,
                            env=environment(start.directory, SKBOX_DIRECTORY_ROOT=str(start.directory)))
    assert result.stderr == "bind: Numerical result out of range\n"


def test_record_without_an_end(start):
    """A path of 108 characters has no room for its NUL: nothing could find it."""
    directory = str(start.directory).encode()
    (start.directory / "skbox_dir_00007").write_bytes((directory + b"/" + b"x" * 128)[:128])
    result = subprocess.run([program("preloaded"), "every", "fe8f::7:0", "80"], capture_output=True, text=True, check=False,
                            timeout=10, env=environment(start.directory, SKBOX_DIRECTORY_ROOT=str(start.directory)))
    assert result.stderr == "bind: File name too long\n"
    assert not [path for path in start.directory.iterdir() if path.is_socket()]


def test_unix_stream_listener_and_stealth(start):
    """fe8f::3:X:Y is a Unix stream socket; its clients have no address, or ::1."""
    path = start.directory / "00001" / "00002_00080"
    for env, peer in ({}, "none"), ({"SKBOX_STEALTH_MODE": "1"}, "[::1]:0"):
        with Program([program("preloaded"), "dup", "fe8f::3:1:2", 80], environment(start.directory, **env)) as p:
            p.ready()
            for word in ("dup", "dup2"):
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    assert client.recv(4096).decode().split("\r\n\r\n")[1] == f"{word} {peer}\n"
            p.rest()


def test_stealth_for_a_unix_connection_that_was_handed_over(start):
    p = start("dup", SKBOX_STEALTH_MODE="1")
    p.ready()
    client, server = socket.socketpair()
    a_protocol.send(start.path, server)
    server.close()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert client.recv(4096).decode().endswith("dup [::1]:0\n")


@pytest.mark.parametrize("env,port,taken", [
    ({}, 1023, True), ({}, 1024, False), ({"SKBOX_PORT_FILTER_IPV6": "80,8000-8100"}, 8050, True),
    ({"SKBOX_PORT_FILTER_IPV6": "80,8000-8100"}, 443, False)])
def test_ports_of_virtual_addresses(start, env, port, taken):
    result = subprocess.run([program("preloaded"), "describe", start.address, str(port)],
                            env=environment(start.directory, **env), capture_output=True, text=True, check=False)
    assert ("type 1 protocol 6" in result.stdout, "bind: Invalid argument" in result.stderr) == (taken, not taken)


@pytest.mark.parametrize("address,variable", [("::", "SKBOX_PORT_FILTER_WILDCARD6"),
                                              ("0.0.0.0", "SKBOX_PORT_FILTER_WILDCARD4")])
def test_wildcards_are_taken_over_on_request(start, address, variable):
    virtual(start.directory, 0, 0)
    p = start("every", address, 7080, **{variable: "7080"})
    p.ready()
    assert ask(start.directory / "00000" / "00000_07080")[0] == "every"


def test_service_of_several_ports(start):
    """What `socketbox run --preload` sets: a path for each port, wildcards and the service's addresses."""
    service = {"SOCKETBOX_PRELOAD_SOCKET": str(start.directory / "web-_@SB_.sock"),
               "SOCKETBOX_PRELOAD_PORTS": "80,8443-8444", "SOCKETBOX_PRELOAD_ADDRESSES": "192.0.2.1,2001:db8::/64"}
    for address, port, name in (("::", 80, "[::]"), ("192.0.2.1", 8443, "192.0.2.1"),
                                ("2001:db8::5", 8444, "[2001:db8::5]")):
        text = start("describe", address, port, **service).rest()
        assert f"name {name}:{port} length" in text
        assert "protocol 6 accepts 1" in text
        start("every", address, port, **service).ready()
        assert ask(start.directory / f"web-{port:05}.sock")[0] == "every"
    for address, port in (("192.0.2.2", 8443), ("::", 81), ("127.0.0.1", 80)):
        result = subprocess.run([program("preloaded"), "describe", address, str(port)], text=True,
                                env=environment(start.directory, **service), capture_output=True, check=False)
        assert "again Invalid argument" in result.stdout or "Cannot assign" in result.stderr
    assert sorted(os.listdir(start.directory)) == ["00001", "web-00080.sock", "web-08443.sock", "web-08444.sock"]


BOTH_FAMILIES = """
import os, select, socket, sys
first, second = sys.argv[1:3]
def listener(family):
    made = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET)
    if family == "6":
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if "reuseport" in sys.argv:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("::" if family == "6" else "0.0.0.0", 80))
    made.listen()
    if "slowly" in sys.argv:
        print("ready", flush=True)
        sys.stdin.readline()
    return made
made = {str(i): listener(name) for i, name in enumerate((first, second))}
print("ready", flush=True)
while True:
    ready, _, _ = select.select(made.values(), [], [])
    connection, peer = ready[0].accept()
    connection.recv(4096)
    connection.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{ready[0].family.name} {peer[0]} {ready[0] is made['1']}\\n".encode())
    connection.close()
"""


@pytest.mark.parametrize("order,expected", [
    (("4", "6"), "AF_INET6 127.0.0.1 True"), (("6", "4"), "AF_INET6 127.0.0.1 False"),
    (("6", "6", "reuseport"), "AF_INET6 127.0.0.1 True")])
def test_two_listeners_of_one_port(start, order, expected):
    """Families bound apart, and SO_REUSEPORT: one of the two listeners gets all connections."""
    env = environment(start.directory, SOCKETBOX_PRELOAD_SOCKET=str(start.directory / "s"), SOCKETBOX_PRELOAD_PORTS="80")
    with Program(["/usr/bin/python3", "-c", BOTH_FAMILIES, *order], env) as p:
        p.ready()
        assert ask(start.directory / "s")[0] == expected
        assert sorted(os.listdir(start.directory)) == ["00001", "s"]


def test_sender_that_found_the_first_listener_of_two(start):
    """Its channel ends when the second takes over, so that nothing goes to the listener that is set aside."""
    env = environment(start.directory, SOCKETBOX_PRELOAD_SOCKET=str(start.directory / "s"), SOCKETBOX_PRELOAD_PORTS="80")
    with Program(["/usr/bin/python3", "-c", BOTH_FAMILIES, "4", "6", "slowly"], env, stdin=subprocess.PIPE) as p:
        p.ready()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect(str(start.directory / "s"))
            p.popen.stdin.write("on\n\n")
            p.popen.stdin.flush()
            p.ready()
            client, server = a_protocol.tcp_pair()
            with client, server, pytest.raises(ConnectionRefusedError):
                socket.send_fds(channel, [b"A"], [server.fileno()])
        assert ask(start.directory / "s")[0] == "AF_INET6 127.0.0.1 True"
        p.popen.stdin.close()


def test_same_address_twice_is_in_use(start):
    env = environment(start.directory, SOCKETBOX_PRELOAD_SOCKET=str(start.directory / "s"), SOCKETBOX_PRELOAD_PORTS="80")
    result = subprocess.run(["/usr/bin/python3", "-c", BOTH_FAMILIES, "6", "6"], env=env, capture_output=True, text=True,
                            check=False)
    assert "Address already in use" in result.stderr


def test_python_accepts_on_a_bound_datagram_socket(start):
    """The original's recipe for Python: nothing of the address is virtual."""
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); s.listen(5)\n"
              "print('ready', flush=True)\n"
              "c, peer = s.accept()\n"
              "c.recv(4096); c.sendall(f'HTTP/1.0 200 OK\\r\\n\\r\\n{peer[0]}:{peer[1]}\\n'.encode())\n")
    with Program(["/usr/bin/python3", "-c", script, start.directory / "own"], environment(start.directory)) as p:
        p.ready()
        answer, client = ask(start.directory / "own")
        assert answer == client
        p.rest()


def test_programs_own_sockets_stay_what_they_are(start):
    script = ("import socket\n"
              "t = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(t.getsockname()); a, _ = t.accept()\n"
              "t.setsockopt(6, 1, 1); print(t.getsockopt(6, 1), a.getpeername() == c.getsockname())\n"
              "u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); u.bind('\\0own'); print(u.getsockname(), u.type.name)\n"
              "print(u.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN))\n"
              "try: u.setsockopt(6, 1, 1)\n"
              "except OSError as e: print(e.strerror)\n"
              "try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).accept()\n"
              "except OSError as e: print(e.strerror)\n")
    result = subprocess.run(["/usr/bin/python3", "-c", script], env=environment(start.directory), capture_output=True,
                            text=True, check=True)
    assert result.stdout == ("1 True\nb'\\x00own' SOCK_DGRAM\n1\nOperation not supported\nOperation not supported\n")


def test_exports_nothing_but_its_functions():
    names = subprocess.run(["nm", "-D", "--defined-only", paths.PRELOAD], capture_output=True, text=True, check=True).stdout
    assert [line.split()[2] for line in names.splitlines()] == [
        "accept", "accept4", "bind", "getpeername", "getsockname", "getsockopt", "listen", "setsockopt"]
