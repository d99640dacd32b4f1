# SPDX-License-Identifier: BSD-2-Clause
"""socketbox inetd: what a started program has, limits, and the socket that connections come from."""
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from support import paths, require
from support.inetd import Inetd, read_all, remove_cgroup, tcp_pair
from support.launch import NOBODY, Copies, program
from support.process import Process, until

SHOW = program("show_inherited")
CAT = "/bin/cat"


@pytest.fixture
def inetd(tmp_path):
    """Starts receivers: inetd(*command, options=(...))."""
    made = []

    def start(*command, **options):
        made.append(Inetd(tmp_path, *command, name=f"inetd{len(made)}", **options))
        return made[-1]
    yield start
    for receiver in made:
        receiver.stop()
        pid = receiver.process.pid
        until(lambda: remove_cgroup(pid), what="programs that live on have ended")


def test_program_has_the_connection_and_nothing_else(inetd):
    shown = inetd(SHOW).show()
    assert sorted(shown["fds"]) == ["0", "1", "2"]
    assert shown["fds"]["0"] == shown["fds"]["1"] and shown["fds"]["0"].startswith("socket:")
    assert shown["fds"]["2"].startswith("pipe:")
    assert (shown["blocked"], shown["ignored"]) == (0, 0)
    assert shown["sid"] == shown["pid"]
    assert shown["nofile"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_environment_names_both_ends(inetd, address):
    receiver = inetd(SHOW, env={"TCPREMOTEHOST": "stale", "REMOTE_PORT": "1", "NOTIFY_SOCKET": "/x", "KEPT": "yes"})
    client, server = tcp_pair(address, address)
    with client, server:
        receiver.hand(server.fileno())
        local, remote = server.getsockname(), server.getpeername()
        server.close()
        client.shutdown(socket.SHUT_WR)
        env = dict(v.split("=", 1) for v in json.loads(read_all(client))["env"])
    assert env["PROTO"] == "TCP"
    assert (env["TCPLOCALIP"], env["TCPLOCALPORT"]) == (local[0], str(local[1]))
    assert (env["TCPREMOTEIP"], env["TCPREMOTEPORT"]) == (remote[0], str(remote[1]))
    assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == (remote[0], str(remote[1]))
    assert env["KEPT"] == "yes"
    assert "TCPREMOTEHOST" not in env and "NOTIFY_SOCKET" not in env


def test_unix_client_is_told_by_its_credentials(inetd):
    receiver = inetd(SHOW)
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with client:
        receiver.hand(server.fileno())
        server.close()
        client.settimeout(30)
        env = dict(v.split("=", 1) for v in json.loads(read_all(client))["env"])
    assert env["PROTO"] == "UNIX"
    assert (env["UNIXREMOTEEUID"], env["UNIXREMOTEEGID"]) == (str(os.geteuid()), str(os.getegid()))
    assert env["UNIXREMOTEPID"] == str(os.getpid())
    assert "REMOTE_ADDR" not in env
    receiver.says(rf"started for uid {os.geteuid()} \(pid {os.getpid()}\)")


def test_user_and_groups(inetd):
    require.root()
    nobody = pwd.getpwnam("nobody")
    shown = inetd(SHOW, options=["--user", "nobody"]).show()
    assert shown["uids"] == [nobody.pw_uid] * 3 and shown["gids"] == [nobody.pw_gid] * 3
    assert shown["groups"] == sorted(os.getgrouplist("nobody", nobody.pw_gid))
    env = shown["env"]
    assert (env["USER"], env["LOGNAME"], env["HOME"]) == ("nobody", "nobody", nobody.pw_dir)
    shown = inetd(SHOW, options=["--user", "nobody", "--group", "7", "--groups", "8", "--groups", "9"]).show()
    assert (shown["gids"], shown["groups"]) == ([7, 7, 7], [8, 9])
    shown = inetd(SHOW, options=["--user", "12345", "--group", "7", "--groups", "none"]).show()
    assert (shown["uids"], shown["gids"], shown["groups"]) == ([12345] * 3, [7] * 3, [])


def test_program_may_open_its_stderr_again(inetd):
    require.root()
    receiver = inetd("/bin/sh", "-c", "echo again >/dev/stderr", options=["--user", "nobody"])
    receiver.ask()
    receiver.says("stderr: again")


@pytest.mark.parametrize("options,reason", [
    ([], None),
    (["--user", "nobody"], None),
    (["--user", "daemon"], r"becoming group \d+: Operation not permitted"),
    (["--group", "daemon"], r"becoming group \d+: Operation not permitted"),
    (["--nice", "-3"], "setting its nice value to -3: (Permission denied|Operation not permitted)"),
    (["--rlimit", "core=0:unlimited", "--rlimit", "nofile=999999999"], "setting its rlimits: Operation not permitted"),
])
def test_receiver_without_privileges(options, reason):
    """It becomes itself, and says what it may not do."""
    require.root()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="socketbox-inetd-", dir="/var/tmp"))
    folder.chmod(0o777)
    with Copies(paths.CLI, SHOW) as (cli, show):
        receiver = Inetd(folder, show, options=options, prefix=NOBODY, cli=cli)
        try:
            if reason:
                assert receiver.ask() == ""
                receiver.says(f"cannot start a program for 127.0.0.1:\\d+: {reason}")
            else:
                assert receiver.show()["uids"] == [pwd.getpwnam("nobody").pw_uid] * 3
        finally:
            receiver.stop()
            shutil.rmtree(folder)


def test_limits_nice_umask_directory_and_environment(inetd, tmp_path):
    require.root()
    shown = inetd(SHOW, "one", "", "two words", options=[
        "--rlimit", "nofile=77:88", "--rlimit=core=0", "--nice", "7", "--umask", "027", "--chdir", str(tmp_path),
        "--env", "A=b=c", "--env", "EMPTY=", "--pass-env", "PATH"]).show()
    assert (shown["nofile"], shown["core"]) == ([77, 88], [0, 0])
    assert (shown["nice"], shown["umask"], shown["cwd"]) == (7, 0o27, str(tmp_path))
    assert shown["argv"][1:] == ["one", "", "two words"]
    assert (shown["env"]["A"], shown["env"]["EMPTY"], shown["env"]["PATH"]) == ("b=c", "", os.environ["PATH"])
    assert "LANG" not in shown["env"] and "HOME" not in shown["env"]


@pytest.mark.parametrize("how", ["name", "path", "pid"])
def test_network_namespace(inetd, world, how):
    there = os.readlink if how == "pid" else None
    path = f"/run/netns/{world.client}"
    with open(path, "rb") as file:
        expected = f"net:[{os.fstat(file.fileno()).st_ino}]"
    word = {"name": world.client, "path": path}.get(how)
    if there:
        word = str(world.start(["sleep", "60"], "sleeper", netns=world.client).pid)
        until(lambda: there(f"/proc/{word}/ns/net") == expected)
    shown = inetd(SHOW, options=["--netns", word]).show()
    assert shown["netns"] == expected != os.readlink("/proc/self/ns/net")


def test_own_cgroup_that_goes_with_the_receiver(inetd):
    require.root()
    receiver = inetd(SHOW)
    if "no cgroup of their own" in receiver.log():
        require.unmet("needs a cgroup v2 hierarchy")
    cgroup = receiver.show()["cgroup"]
    assert cgroup.endswith(f"/socketbox-inetd-{receiver.process.pid}")
    mounts = [line.split() for line in open("/proc/self/mounts", encoding="utf-8")]
    folder = next(words[1] for words in mounts if words[2] == "cgroup2") + cgroup
    assert os.path.isdir(folder)
    until(lambda: not receiver.children())
    assert receiver.stop() == 0
    assert not os.path.exists(folder)
    assert inetd(SHOW, options=["--cgroup", "none"]).show()["cgroup"] == own_cgroup()


def test_without_clone3(inetd):
    """Under filters that do not know it, the program enters its cgroup by itself."""
    require.root()
    receiver = inetd(SHOW, prefix=[program("deny_clone3")], options=["--user", "nobody"])
    shown = receiver.show()
    assert shown["uids"] == [pwd.getpwnam("nobody").pw_uid] * 3
    assert (shown["blocked"], shown["ignored"], sorted(shown["fds"])) == (0, 0, ["0", "1", "2"])
    if "no cgroup of their own" not in receiver.log():
        assert shown["cgroup"].endswith(f"/socketbox-inetd-{receiver.process.pid}")
    receiver.says("exited with status 0")
    receiver = inetd("/nonexistent", prefix=[program("deny_clone3")])
    assert receiver.ask() == ""
    receiver.says("cannot execute /nonexistent: No such file or directory")


def test_without_a_cgroup_hierarchy_that_is_said_once(inetd):
    require.root()
    script = 'for m in $(awk \'$3 == "cgroup2" {print $2}\' /proc/self/mounts); do umount -l $m; done; exec "$@"'
    receiver = inetd(SHOW, prefix=["unshare", "-m", "sh", "-c", script, "sh"])
    assert [receiver.show()["argv"] for _ in range(3)] == [[str(SHOW)]] * 3
    assert receiver.log().count("programs have no cgroup of their own: no cgroup v2 hierarchy is mounted") == 1


def test_cgroup_that_somebody_removed_is_made_anew(inetd):
    require.root()
    receiver = inetd(SHOW)
    if "no cgroup of their own" in receiver.log():
        require.unmet("needs a cgroup v2 hierarchy")
    cgroup = receiver.show()["cgroup"]
    mounts = [line.split() for line in open("/proc/self/mounts", encoding="utf-8")]
    folder = next(words[1] for words in mounts if words[2] == "cgroup2") + cgroup
    until(lambda: not receiver.children())
    os.rmdir(folder)
    receiver.show()
    receiver.says("is not in the service's cgroup")
    assert receiver.show()["cgroup"] == cgroup


def own_cgroup():
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return next(line[3:].strip() for line in file if line.startswith("0::"))


@pytest.mark.parametrize("where,check", [
    ("log", lambda r, data: r.says(r"sh\[\d+\]: stderr: one\n.*sh\[\d+\]: stderr: t\?wo\n")),
    ("socket", lambda r, data: data == "one\nt\two\n" or pytest.fail(data)),
    ("null", lambda r, data: (data == "", "stderr" not in r.log())),
])
def test_stderr(inetd, where, check):
    receiver = inetd("/bin/sh", "-c", "printf 'one\\nt\\two\\n' >&2", options=["--stderr", where])
    data = receiver.ask()
    receiver.says("exited with status 0")
    check(receiver, data)
    if where != "socket":
        assert data == ""
    if where != "log":
        assert "stderr:" not in receiver.log()


def test_log_of_stderr_is_bounded(inetd):
    receiver = inetd("/bin/sh", "-c", "head -c 5000 /dev/zero | tr '\\0' x >&2; echo >&2; yes | head -20000 >&2")
    receiver.ask()
    receiver.says("exited with status 0")
    lines = receiver.log().splitlines()
    assert max(map(len, lines)) < 1200
    assert sum("stderr: x" in line for line in lines) == 5
    assert len(lines) < 5000, "20,000 lines went through"
    receiver.stop()


def test_log_of_start_exit_and_duration(inetd):
    receiver = inetd("/bin/sh", "-c", "sleep 0.2; exit 3")
    with receiver.connect() as client:
        port = client.getsockname()[1]
        read_all(client)
    receiver.says(rf"sh\[(\d+)\]: started for 127.0.0.1:{port} at 127.0.0.1:\d+\n")
    receiver.says(rf"sh\[(\d+)\]: exited with status 3 after 0\.[2-9]\d\d s, 127.0.0.1:{port}\n")
    receiver = inetd("/bin/sh", "-c", "kill -9 $$", options=["--log", "failures"])
    receiver.ask()
    receiver.says(r"killed by signal 9 \(SIGKILL\) after")
    assert "started" not in receiver.log()


@pytest.mark.parametrize("command,options,reason", [
    (["/nonexistent/program"], [], "cannot execute /nonexistent/program: No such file or directory"),
    (["no-such-program"], [], "cannot execute no-such-program: No such file or directory"),
    (["/etc/passwd"], [], "cannot execute /etc/passwd: Permission denied"),
    ([CAT], ["--chdir", "/nonexistent"], "entering directory /nonexistent: No such file or directory"),
    ([CAT], ["--netns", "nonexistent"], "opening network namespace nonexistent"),
])
def test_program_that_cannot_be_started(inetd, command, options, reason):
    receiver = inetd(*command, options=[*options, "--instances", "2"])
    fds = None
    for count in range(1, 6):
        assert receiver.ask() == ""
        receiver.says(rf"cannot start a program for 127.0.0.1:\d+: {reason}", times=count)
        fds = fds or receiver.fds()
    assert receiver.fds() == fds and receiver.children() == []


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
