# SPDX-License-Identifier: BSD-2-Clause
"""socketbox inetd: what a started program has, and where what it says goes."""
import json
import os
import pathlib
import pwd
import resource
import shutil
import socket
import tempfile

import pytest

from support import paths, require
from support.inetd import Inetd, read_all, tcp_pair
from support.launch import NOBODY, OWN_ROOT, Copies, program
from support.process import until

SHOW = program("show_inherited")
CAT = "/bin/cat"


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
    directory = pathlib.Path(tempfile.mkdtemp(prefix="socketbox-inetd-", dir="/var/tmp"))
    directory.chmod(0o777)
    with Copies(paths.CLI, SHOW) as (cli, show):
        receiver = Inetd(directory, show, options=options, prefix=NOBODY, cli=cli)
        try:
            if reason:
                assert receiver.ask() == ""
                receiver.says(f"cannot start a program for 127.0.0.1:\\d+: {reason}")
            else:
                assert receiver.show()["uids"] == [pwd.getpwnam("nobody").pw_uid] * 3
        finally:
            receiver.stop()
            shutil.rmtree(directory)


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
    directory = next(words[1] for words in mounts if words[2] == "cgroup2") + cgroup
    assert os.path.isdir(directory)
    until(lambda: not receiver.children())
    assert receiver.stop() == 0
    assert not os.path.exists(directory)
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
    receiver = inetd(SHOW, prefix=[*OWN_ROOT, "unshare", "-m", "sh", "-c", script, "sh"])
    assert [receiver.show()["argv"] for _ in range(3)] == [[str(SHOW)]] * 3
    assert receiver.log().count("programs have no cgroup of their own: no cgroup v2 hierarchy is mounted") == 1


def test_cgroup_that_somebody_removed_is_made_anew(inetd):
    require.root()
    receiver = inetd(SHOW)
    if "no cgroup of their own" in receiver.log():
        require.unmet("needs a cgroup v2 hierarchy")
    cgroup = receiver.show()["cgroup"]
    mounts = [line.split() for line in open("/proc/self/mounts", encoding="utf-8")]
    directory = next(words[1] for words in mounts if words[2] == "cgroup2") + cgroup
    until(lambda: not receiver.children())
    os.rmdir(directory)
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
