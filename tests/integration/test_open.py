# SPDX-License-Identifier: BSD-2-Clause
"""socketbox open: a program inherits the sockets that the specs describe, wherever they were made."""
import fcntl
import os
import re
import socket

import pytest

from support import paths
from support.launch import NOBODY, Copies
from support.opened import OBSERVE, OwnNamespaces, netns_number, observed, refused, run, sockets
from support.process import until
from support.traffic import Answers, connect, in_namespace
from support.world import V4, V6

INET, INET6, UNIX = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
STREAM, DGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET


@pytest.fixture
def directory(tmp_path_factory):
    """One that every user may reach and write to, with a short path."""
    made = tmp_path_factory.mktemp("s")
    made.chmod(0o777)
    for above in made.parents:
        if str(above).startswith("/tmp/") and above.stat().st_uid == os.getuid():
            above.chmod(0o755)
    return made


@pytest.mark.parametrize("spec, domain, kind, name, listening", [
    (f"tcp://{V4}:80", INET, STREAM, [V4, 80], 1),
    ("tcp://0.0.0.0:80", INET, STREAM, ["0.0.0.0", 80], 1),
    (f"tcp://[{V6}]:80", INET6, STREAM, [V6, 80, 0, 0], 1),
    ("tcp://[::ffff:192.0.2.1]:80", INET6, STREAM, ["::ffff:192.0.2.1", 80, 0, 0], 1),
    (f"udp://{V4}:53", INET, DGRAM, [V4, 53], None),
    (f"udp://[{V6}]:53", INET6, DGRAM, [V6, 53, 0, 0], None),
    ("unix-stream:@sb", UNIX, STREAM, "@sb", 1),
    ("unix-seqpacket:@sb", UNIX, SEQPACKET, "@sb", 1),
    ("unix-dgram:@sb", UNIX, DGRAM, "@sb", 0),
    ("sockpair:@sb", UNIX, DGRAM, "@sb", 0),
])
def test_kinds(world, spec, domain, kind, name, listening):
    program = observed("--netns", world.host, spec)
    seen = program["fds"]["3"]
    assert (seen["domain"], seen["type"], seen["name"]) == (domain, kind, name)
    assert seen["listening"] == (listening or 0)
    assert (seen["netns"], program["netns"]) == (netns_number(world.host), os.stat("/proc/self/ns/net").st_ino)
    assert (seen["cloexec"], seen["blocking"]) == (False, True)


def test_options_that_are_not_given_are_as_in_a_new_socket(world):
    tcp, udp = sockets("--netns", world.host, "tcp://[::]:80", "udp://[::]:53")
    for name in ("reuseport", "freebind6", "transparent6", "v6only"):
        assert (name, tcp[name], udp[name]) == (name, 0, 0)
    assert (tcp["nodelay"], tcp["defer"], tcp["interface"]) == (0, 0, "")
    assert (tcp["reuseaddr"], udp["reuseaddr"]) == (1, 0)  # a server starts again while connections linger
    assert tcp["backlog"] == socket.SOMAXCONN


@pytest.mark.parametrize("option, name, value, ipv4", [
    ("reuseport", "reuseport", 1, True),
    ("freebind", "freebind", 1, True),
    ("freebind", "freebind6", 1, False),
    ("transparent", "transparent", 1, True),
    ("transparent", "transparent6", 1, False),
    ("v6only=yes", "v6only", 1, False),
    ("v6only", "v6only", 1, False),
    ("nodelay", "nodelay", 1, True),
    ("nodelay=no", "nodelay", 0, True),
    ("defer-accept", "defer", 1, True),
    ("defer-accept=20", "defer", None, True),
    ("backlog=7", "backlog", 7, True),
    ("interface=veth0", "interface", "veth0", True),
    ("reuseaddr=no", "reuseaddr", 0, True),
    ("listen=no", "listening", 0, True),
])
def test_options(world, option, name, value, ipv4):
    address = "0.0.0.0" if ipv4 else "[::]"
    seen = sockets("--netns", world.host, f"tcp://{address}:80,{option}")[0]
    if value is None:
        assert seen[name] >= 20  # the kernel counts in retransmissions
    else:
        assert seen[name] == value


def test_foreign_address_needs_freebind(world):
    spec = "tcp://203.0.113.1:80"
    assert "no interface there has it: see freebind" in refused("--netns", world.host, spec)
    assert sockets("--netns", world.host, f"{spec},freebind")[0]["name"] == ["203.0.113.1", 80]


def test_scope_is_looked_up_where_the_socket_is(world):
    world.run(["ip", "-6", "addr", "add", "fe80::5/64", "dev", "veth0", "nodad"], netns=world.host)
    seen = sockets("--netns", world.host, "tcp://[fe80::5%veth0]:80")[0]
    assert seen["name"][:2] == ["fe80::5", 80] and seen["name"][3] > 1
    assert "there is no interface 'sbother'" in refused("--netns", world.host, "tcp://[fe80::5%sbother]:80")


def test_namespaces_by_name_path_and_process(world, tmp_path):
    there = world.start(["sleep", "600"], "sleep", netns=world.host)
    for netns in (world.host, f"/run/netns/{world.host}", f"/proc/{there.pid}/ns/net", there.pid):
        assert sockets("--netns", netns, "tcp://[::]:80")[0]["netns"] == netns_number(world.host), netns
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    assert "there is no network namespace 'sb-none' to enter" in refused("--netns", "sb-none", "tcp://[::]:80")
    assert "there is no network namespace '99999999'" in refused("--netns", "99999999", "tcp://[::]:80")
    for other in (tmp_path / "file", tmp_path / "fifo", "/proc/self/ns/user"):
        assert f"{other} is not a network namespace" in refused("--netns", other, "tcp://[::]:80")


def test_each_spec_may_name_its_namespace(world):
    seen = sockets("--netns", world.host, "tcp://[::]:80", f"tcp://[::]:80,netns={world.client}",
                   "unix-stream:@sb", f"unix-stream:@sb,netns={world.client}", "udp://[::]:5353,netns=/proc/self/ns/net,reuseport")
    host, client, own = (netns_number(world.host), netns_number(world.client), os.stat("/proc/self/ns/net").st_ino)
    assert [one["netns"] for one in seen] == [host, client, host, client, own]


def test_environment(world):
    program = observed("--netns", world.host, "tcp://[::]:80,name=web", "udp://[::]:53", "unix-dgram:@a",
                       f"tcp://[::]:80,netns={world.client}",
                       env={"LISTEN_PID": "1", "LISTEN_FDS": "9", "LISTEN_PIDFDID": "7"})
    assert program["environment"] == {
        "LISTEN_FDS": "4", "LISTEN_PID": str(program["pid"]), "LISTEN_FDNAMES": "web:udp-53:unix-dgram:tcp-80",
        **{f"SOCKETBOX_FD_{n}": str(3 + n) for n in range(4)},
        **{f"CTRTOOL_NS_OPEN_FILE_FD_{n}": str(3 + n) for n in range(4)}}
    assert list(program["fds"]) == ["3", "4", "5", "6"]


def test_descriptors_in_the_way_make_room():
    """What the caller has open at 3 gives way; what it has open above stays."""
    with socket.socket(UNIX, DGRAM) as one, socket.socket(UNIX, DGRAM) as two:
        # Numbers that nothing else in this process has.
        first, second = fcntl.fcntl(one, fcntl.F_DUPFD, 100), fcntl.fcntl(two, fcntl.F_DUPFD, 100)
        try:
            result = run("open", "unix-stream:@a", "unix-dgram:@b", "--", "/usr/bin/python3", OBSERVE, "3", "4", "5",
                         prefix=["bash", "-c", f'exec 3<&{first} 4<&{second} 5<&{second} {first}<&- {second}<&-; exec "$@"',
                                 "bash"],
                         pass_fds=[first, second])
        finally:
            os.close(first)
            os.close(second)
    assert result.returncode == 0, result.stderr
    assert re.findall(r'"name": "([^"]*)"', result.stdout) == ["@a", "@b", ""]


def test_many_sockets(world):
    specs = [f"tcp://[::]:{port}" for port in range(8000, 8016)]
    assert [seen["name"][1] for seen in sockets("--netns", world.host, *specs)] == list(range(8000, 8016))


def test_program_serves(world, tmp_path):
    """A program in an empty namespace serves clients of the host's namespace, over both families on one socket."""
    script = ("import socket, os\ns = socket.socket(fileno=int(os.environ['SOCKETBOX_FD_0']))\n"
              "while True:\n c, a = s.accept()\n c.recv(99)\n c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n' + a[0].encode())\n c.close()")
    process = world.start(["unshare", "-n", paths.CLI, "open", "--netns", world.host, "tcp://[::]:80", "--",
                           "/usr/bin/python3", "-c", script], "server")
    assert until(lambda: world.curl(f"http://{V4}/", check=False), 60) == "::ffff:192.0.2.100"
    assert world.curl(f"http://[{V6}]/") == "2001:db8::100"
    assert process.running()


# Unix sockets

@pytest.mark.parametrize("kind", ["unix-stream", "unix-dgram", "unix-seqpacket", "sockpair"])
def test_stale_file_is_replaced_and_a_live_one_is_not(directory, kind):
    path, kinds = directory / "a", {"unix-stream": STREAM, "unix-seqpacket": SEQPACKET}
    for live_kind in (STREAM, DGRAM, SEQPACKET):
        with socket.socket(UNIX, live_kind) as live:
            live.bind(str(path))
            if live_kind != DGRAM:
                live.listen(1)
                live.settimeout(0.2)
            said = refused(f"{kind}:{path}")
            assert f"{kind}:{path}: {path} is in use: a program has a socket open there" in said
            if live_kind != DGRAM:
                with pytest.raises(TimeoutError):  # it has not noticed
                    live.accept()
        assert path.is_socket()
        seen = sockets(f"{kind}:{path}")[0]
        assert (seen["name"], seen["type"]) == (str(path), kinds.get(kind, DGRAM))
        path.unlink()


def test_other_files_are_left_alone(directory):
    path = directory / "a"
    path.write_text("precious")
    assert f"{path} exists and is no socket; remove it" in refused(f"unix-stream:{path}")
    assert path.read_text() == "precious"
    assert "No such file or directory" in refused(f"unix-stream:{directory}/none/a")
    (directory / "link").symlink_to(directory / "target")
    assert f"{directory}/link exists and is no socket" in refused(f"unix-dgram:{directory}/link")
    assert not (directory / "target").exists()


@pytest.mark.parametrize("options, mode, umask", [
    ("", 0o755, 0o022), ("", 0o700, 0o077), (",mode=0666", 0o666, 0o077), (",mode=0600", 0o600, 0o000),
    (",mode=0777", 0o777, 0o022)])
def test_mode(directory, options, mode, umask):
    result = run("open", f"unix-stream:{directory}/a{options}", "--", "sh", "-c", f"umask; stat -c %a {directory}/a",
                 umask=umask)
    assert result.stdout.split() == [f"{umask:04o}", f"{mode:o}"]


def test_handoff_destination_is_private(directory):
    sockets(f"sockpair:{directory}/a", umask=0)
    assert (directory / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("owner, uid, gid", [
    ("nobody:nogroup", 65534, 65534), ("nobody", 65534, 0), (":nogroup", 0, 65534), ("1234:5678", 1234, 5678),
    (":77", 0, 77)])
def test_owner(directory, owner, uid, gid):
    sockets(f"unix-dgram:{directory}/a,owner={owner},mode=0620")
    file = (directory / "a").stat()
    assert (file.st_uid, file.st_gid, file.st_mode & 0o777) == (uid, gid, 0o620)


def test_owner_that_does_not_exist(directory):
    assert "there is no user 'sb-nobody' (of owner=sb-nobody:root)" in refused(f"unix-dgram:{directory}/a,owner=sb-nobody:root")
    assert "there is no group 'sb-group'" in refused(f"unix-dgram:{directory}/a,owner=:sb-group")
    assert not (directory / "a").exists()


def test_peers_see_the_program(world, directory):
    """The listener's credentials are those of the program, not of a helper that is gone, in another namespace too."""
    process = world.start([paths.CLI, "open", f"unix-stream:{directory}/a,netns={world.host}", "--", "sleep", "60"], "sleep")
    with socket.socket(UNIX) as client:
        until(lambda: client.connect_ex(str(directory / "a")) == 0, 60, "a connection")
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert int.from_bytes(credentials[:4], "little") == process.pid


# Users

def test_own_namespaces_of_an_ordinary_user(world, directory):
    """Needs no option: where the user may not enter the network namespace, its user namespace comes first."""
    own = OwnNamespaces(world)
    with Copies(paths.CLI, OBSERVE) as (cli, observer):
        program = observed("--netns", own.pid, "tcp://[::]:80,transparent", "udp://[::]:53", f"unix-stream:{directory}/a,mode=0640",
                           "unix-dgram:@a", observer=observer, cli=cli, prefix=NOBODY)
    assert [seen["netns"] for seen in program["fds"].values()] == [own.netns] * 4
    assert program["fds"]["3"]["transparent6"] == 1
    assert (program["uid"], program["userns"]) == (65534, os.stat("/proc/self/ns/user").st_ino)
    assert program["netns"] == os.stat("/proc/self/ns/net").st_ino
    file = (directory / "a").stat()
    assert (file.st_uid, file.st_mode & 0o777) == (65534, 0o640)


@pytest.mark.parametrize("words", [["--userns"], []])
def test_user_namespace_of_another_user(world, directory, words):
    """Root enters it if asked to, and otherwise need not; files belong to root all the same."""
    own = OwnNamespaces(world)
    program = observed("--netns", own.pid, *words, "tcp://[::]:80", f"unix-stream:{directory}/a,owner=nobody")
    assert [seen["netns"] for seen in program["fds"].values()] == [own.netns] * 2
    assert (program["uid"], program["userns"]) == (0, os.stat("/proc/self/ns/user").st_ino)
    assert (directory / "a").stat().st_uid == 65534


def test_user_namespace_option_where_it_is_the_callers(world):
    assert sockets("--netns", world.host, "--userns", "tcp://[::]:80")[0]["netns"] == netns_number(world.host)
    assert sockets(f"tcp://[::]:80,netns={world.host},userns")[0]["netns"] == netns_number(world.host)


def test_ordinary_user_without_privileges(world, directory):
    with Copies(paths.CLI, OBSERVE) as (cli, observer):
        as_nobody = {"cli": cli, "prefix": ["nsenter", f"--net=/run/netns/{world.host}", *NOBODY]}
        seen = sockets("tcp://[::]:8080,freebind", "udp://0.0.0.0:5353", f"unix-dgram:{directory}/a", observer=observer, **as_nobody)
        assert [one["domain"] for one in seen] == [INET6, INET, UNIX]
        assert "need CAP_NET_BIND_SERVICE" in refused("tcp://[::]:80", **as_nobody)
        assert "setting transparent (needs CAP_NET_ADMIN" in refused("tcp://[::]:8080,transparent", **as_nobody)
        said = refused("--netns", world.client, "tcp://[::]:8080", **as_nobody)
        assert f"entering network namespace '{world.client}' (needs CAP_SYS_ADMIN" in said
        assert "Operation not permitted" in said
        assert f"giving {directory}/b to root" in refused(f"unix-dgram:{directory}/b,owner=root", **as_nobody)
        assert not (directory / "b").exists()


# What goes wrong

def test_address_in_use(world):
    with in_namespace(world.host, lambda: socket.socket(INET6)) as taken:
        taken.bind((V6, 80))
        taken.listen(1)
        server = Answers(taken, "first")
        said = refused("--netns", world.host, f"tcp://[{V6}]:80")
        assert f"tcp://[{V6}]:80: binding [{V6}]:80: Address already in use by another socket" in said
        with connect(world, V6) as client:
            client.send(b"x")
            assert b"first" in client.recv(99)
        server.stop()


@pytest.mark.parametrize("words, said", [
    ([], "a socket is missing: socketbox open tcp://[::]:80 -- PROGRAM"),
    (["--", "true"], "a socket is missing"),
    (["tcp://[::]:80"], "a program is missing: socketbox open SPEC... -- PROGRAM (with '--' before it)"),
    (["tcp://[::]:80", "--"], "a program is missing"),
    (["tcp://[::]:80", "true"], "a program is missing"),
    (["--nets", "x", "tcp://[::]:80", "--", "true"], "unknown option '--nets'"),
    (["tcp://[::]:80", "--netns"], "a value for '--netns' is missing"),
    (["--netns", "", "tcp://[::]:80", "--", "true"], "--netns is a path, a process's number, or a name"),
    (["tcp://[::]:80,userns", "--", "true"], "tcp://[::]:80,userns: userns is that of a network namespace"),
    (["--userns", "tcp://[::]:80", "--", "true"], "name it with --netns or netns="),
])
def test_misuse(words, said):
    result = run("open", *words)
    assert result.returncode == 2
    assert f"socketbox open: {said}" in result.stderr or said in result.stderr
    assert "usage: socketbox open [--netns PATH|PID|NAME] [--userns] SPEC... -- PROGRAM" in result.stderr


def test_bad_spec_shows_the_place_and_the_grammar(directory):
    result = run("open", f"unix-stream:{directory}/a", "tcp://[::]:80,backlog=many", "--", "true")
    assert result.returncode == 2
    assert result.stderr.splitlines()[:3] == ["socketbox open: backlog is a number, not 'many'",
                                             "  tcp://[::]:80,backlog=many", "                ^"]
    assert "SPEC:  tcp://ADDRESS:PORT  udp://ADDRESS:PORT" in result.stderr
    assert not (directory / "a").exists()  # nothing was made before all was understood


def test_options_between_specs(world):
    seen = sockets("tcp://[::]:80", "--netns", world.host, "udp://[::]:53")
    assert [one["netns"] for one in seen] == [netns_number(world.host)] * 2


def test_program_that_cannot_be_executed():
    result = run("open", "unix-stream:@sb-none", "--", "/sb/none", "--netns")
    assert (result.returncode, result.stderr) == (
        1, "socketbox open: cannot execute /sb/none: No such file or directory\n")


def test_program_keeps_its_arguments_and_status():
    result = run("open", "unix-stream:@sb-some", "--", "sh", "-c", 'echo "$@"; exit 7', "sh", "--netns", "--", "-x")
    assert (result.returncode, result.stdout) == (7, "--netns -- -x\n")
