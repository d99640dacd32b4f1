# SPDX-License-Identifier: BSD-2-Clause
"""The binary under the name ctrtool: recipes for `ctrtool ns_open_file` run as they are."""
import json
import os
import socket
import subprocess

import pytest

from support import paths
from support.launch import NOBODY, Copies
from support.opened import OBSERVE, PYTHON, OwnNamespaces, netns_number


@pytest.fixture
def ctrtool(tmp_path):
    (tmp_path / "ctrtool").symlink_to(paths.CLI)
    return tmp_path / "ctrtool"


def run(ctrtool, *words, prefix=(), env=None, cwd=None):
    return subprocess.run([*map(str, prefix), ctrtool, *map(str, words)], capture_output=True, text=True, timeout=60,
                          check=False, env=env, cwd=cwd)


def observed(ctrtool, *words, observer=OBSERVE, **options):
    result = run(ctrtool, "ns_open_file", *words, PYTHON, observer, **options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_recipe_with_an_offset(world, ctrtool):
    """Three sockets from number 10 on, in two namespaces; the flags are those of the original."""
    netns = f"/run/netns/{world.host}"
    program = observed(ctrtool, "-o10", "-n", "-N", netns, "-d", "inet", "-4", "127.0.0.10,81,a", "-l4096",
                       "-nN", netns, "-6", "::1,82,at", "-l", "7", "-n", "-d", "unix", "-t", "dgram", "-P", "@sb-ctrtool",
                       env=dict(os.environ, LISTEN_FDS="1", LISTEN_PID="1"))
    assert program["environment"] == {
        "LISTEN_FDS": "1", "LISTEN_PID": "1",  # not its own
        "CTRTOOL_NS_OPEN_FILE_FD_10": "3", "CTRTOOL_NS_OPEN_FILE_FD_11": "4", "CTRTOOL_NS_OPEN_FILE_FD_12": "5"}
    first, second, third = program["fds"].values()
    assert (first["domain"], first["name"], first["listening"], first["backlog"]) == (
        socket.AF_INET, ["127.0.0.10", 81], 1, 4096)
    assert (first["reuseaddr"], first["transparent"], first["freebind"]) == (1, 0, 0)
    assert (second["domain"], second["name"][:2], second["backlog"]) == (socket.AF_INET6, ["::1", 82], 7)
    assert (second["reuseaddr"], second["transparent6"]) == (1, 1)
    assert (third["type"], third["name"]) == (socket.SOCK_DGRAM, "@sb-ctrtool")
    host, own = netns_number(world.host), os.stat("/proc/self/ns/net").st_ino
    assert [one["netns"] for one in program["fds"].values()] == [host, host, own]
    assert program["netns"] == own


def test_socket_without_options_is_neither_bound_nor_listening(ctrtool):
    seen = observed(ctrtool, "-n")["fds"]["3"]
    assert (seen["domain"], seen["type"], seen["name"], seen["listening"], seen["reuseaddr"]) == (
        socket.AF_INET6, socket.SOCK_STREAM, ["::", 0, 0, 0], 0, 0)


@pytest.mark.parametrize("flags, expected", [
    ("p", {"reuseport": 1, "reuseaddr": 0}),
    ("f", {"freebind6": 1}),
    ("dfeo", {"defer": 1, "freebind6": 1, "nodelay": 1, "v6only": 1}),
    ("O", {"v6only": 0}),
    (":", {"reuseaddr": 0, "reuseport": 0, "nodelay": 0}),
])
def test_flags(world, ctrtool, flags, expected):
    seen = observed(ctrtool, "-nN", f"/run/netns/{world.host}", "-6", f"::,80,{flags}", "-l9")["fds"]["3"]
    assert {name: seen[name] for name in expected} == expected


def test_types_that_do_not_block(ctrtool):
    assert observed(ctrtool, "-n", "-t", "stream_nb")["fds"]["3"]["blocking"] is False


def test_scope(world, ctrtool):
    world.run(["ip", "-6", "addr", "add", "fe80::5/64", "dev", "veth0", "nodad"], netns=world.host)
    netns = f"/run/netns/{world.host}"
    by_name = observed(ctrtool, "-nN", netns, "-6", "fe80::5,80,:,veth0")["fds"]["3"]["name"]
    assert by_name[3] > 1
    assert observed(ctrtool, "-nN", netns, "-6", f"fe80::5,80,I,{by_name[3]}")["fds"]["3"]["name"] == by_name


def test_namespace_of_its_own(ctrtool):
    program = observed(ctrtool, "-nA", "-6", "::,80", "-l1", "-nA")
    first, second = (one["netns"] for one in program["fds"].values())
    assert len({first, second, program["netns"]}) == 3


def test_rootless_namespaces(world, tmp_path):
    """-U enters the user namespace: what a user's own containers need."""
    own = OwnNamespaces(world)
    netns, userns = f"/proc/{own.pid}/ns/net", f"/proc/{own.pid}/ns/user"
    with Copies(paths.CLI, OBSERVE) as (cli, observer):
        directory = tmp_path / "bin"
        directory.mkdir()
        for above in [directory, *directory.parents]:
            if str(above).startswith("/tmp/") and above.stat().st_uid == os.getuid():
                above.chmod(0o755)
        (directory / "ctrtool").symlink_to(cli)
        program = observed(directory / "ctrtool", "-nN", netns, "-U", "-6", "::,80,at", "-l1", "-nAN", netns,
                           "-nAUN", userns, observer=observer, prefix=NOBODY)
    first, second, third = (one["netns"] for one in program["fds"].values())
    assert first == own.netns and len({first, second, third, program["netns"]}) == 4
    assert program["uid"] == 65534 and program["userns"] == os.stat("/proc/self/ns/user").st_ino


def test_namespace_file_beside_the_caller(world, ctrtool):
    """-N is a file's path, not a name."""
    seen = observed(ctrtool, "-nN", world.host, cwd="/run/netns")["fds"]["3"]
    assert seen["netns"] == netns_number(world.host)
    result = run(ctrtool, "ns_open_file", "-nN", world.host, "true", cwd="/")
    assert result.returncode == 2 and "ctrtool: socket 0: there is no network namespace" in result.stderr


@pytest.mark.parametrize("words, status, said", [
    ([], 1, "of ctrtool, socketbox has ns_open_file only"),
    (["launcher", "true"], 1, "of ctrtool, socketbox has ns_open_file only"),
    (["ns_open_file", "-m", "-P", "/etc/passwd", "true"], 1, "-m is not about sockets"),
    (["ns_open_file", "-n", "-4", "127.0.0.1,80", "true"], 1, "-4 needs -d inet"),
    (["ns_open_file", "-n", "-d", "unix", "-P", "/sb/none/a", "true"], 2, "socket 0: binding /sb/none/a: No such file"),
    (["ns_open_file", "-n", "/sb/none"], 127, "cannot execute /sb/none"),
])
def test_failures(ctrtool, words, status, said):
    result = run(ctrtool, *words)
    assert result.returncode == status
    assert result.stderr.startswith("ctrtool: ") and said in result.stderr
