# SPDX-License-Identifier: BSD-2-Clause
"""socketbox query: what scripts learn of the socket that they inherit."""
import json
import os
import socket
import subprocess

import pytest

from support import paths
from support.traffic import in_namespace
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

KEYS = ["FAMILY", "TYPE", "PROTOCOL", "LISTENING", "CONNECTED", "LOCAL_ADDRESS", "LOCAL_PORT", "LOCAL_PATH",
        "REMOTE_ADDRESS", "REMOTE_PORT", "REMOTE_PATH", "PEER_PID", "PEER_UID", "PEER_GID", "COOKIE"]


def query(sock, *words):
    """socketbox query, with the socket on descriptor 0."""
    return subprocess.run([paths.CLI, "query", *words], stdin=sock, capture_output=True, text=True, timeout=30, check=False)


def in_shell(sock):
    """The variables as a shell has them after eval; first what a hostile caller may have left there."""
    script = ('for key in "$@"; do eval "SOCKET_$key=stale"; done; eval "$("$CLI" query)"; '
              'for key in "$@"; do eval "printf \'%s\\0\' \\"\\$SOCKET_$key\\""; done')
    out = subprocess.run(["sh", "-c", script, "sh", *KEYS], stdin=sock, stdout=subprocess.PIPE, timeout=30, check=True,
                         env=dict(os.environ, CLI=str(paths.CLI))).stdout
    return dict(zip(KEYS, out.decode("latin-1").split("\0")))


def as_json(sock):
    result = query(sock, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def cookie(sock):
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 57, 8), "little")


@pytest.mark.parametrize("address, client", [(V4, CLIENT_V4), (V6, CLIENT_V6)])
@pytest.mark.parametrize("dual", [False, True], ids=["own family", "dual-stack"])
def test_accepted_connection(world, address, client, dual):
    family = socket.AF_INET6 if dual or ":" in address else socket.AF_INET
    with in_namespace(world.host, lambda: socket.socket(family)) as listener:
        listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 80))
        listener.listen(1)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        with in_namespace(world.client, lambda: socket.socket(kind)) as peer:
            peer.connect((address, 80))
            accepted, _ = listener.accept()
            with accepted:
                shell, found = in_shell(accepted), as_json(accepted)
                port = peer.getsockname()[1]
                expected = dict.fromkeys(KEYS, "") | {
                    "FAMILY": "inet6" if family == socket.AF_INET6 else "inet", "TYPE": "stream", "PROTOCOL": "tcp",
                    "LISTENING": "no", "CONNECTED": "yes", "LOCAL_ADDRESS": address, "LOCAL_PORT": "80",
                    "REMOTE_ADDRESS": client, "REMOTE_PORT": str(port), "COOKIE": str(cookie(accepted))}
                assert shell == expected
                assert found == {
                    "family": expected["FAMILY"], "type": "stream", "protocol": "tcp", "listening": False, "connected": True,
                    "local": {"address": address, "port": 80}, "remote": {"address": client, "port": port},
                    "cookie": cookie(accepted)}


def test_listeners(world):
    with in_namespace(world.host, lambda: socket.socket(socket.AF_INET6)) as tcp, \
            in_namespace(world.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        tcp.bind(("::", 80))
        tcp.listen(1)
        udp.bind((V4, 53))
        found = as_json(tcp)
        assert (found["listening"], found["connected"], found["local"]) == (True, False, {"address": "::", "port": 80})
        assert "remote" not in found
        shell = in_shell(udp)
        assert (shell["TYPE"], shell["PROTOCOL"], shell["LISTENING"], shell["LOCAL_ADDRESS"], shell["LOCAL_PORT"]) == (
            "dgram", "udp", "no", V4, "53")
        assert shell["REMOTE_ADDRESS"] == shell["REMOTE_PORT"] == ""


def test_scope_is_shown(world):
    world.run(["ip", "-6", "addr", "add", "fe80::5/64", "dev", "veth0", "nodad"], netns=world.host)
    with in_namespace(world.host, lambda: socket.socket(socket.AF_INET6)) as listener:
        index = json.loads(world.run(["ip", "-j", "link", "show", "veth0"], netns=world.host).stdout)[0]["ifindex"]
        listener.bind(("fe80::5", 80, 0, index))
        assert in_shell(listener)["LOCAL_ADDRESS"] == f"fe80::5%{index}"


@pytest.mark.parametrize("name", ["plain", "it's $(touch owned) `touch owned`; touch owned", "two\nlines", "\"\\", "\xff\xfe"])
def test_unix_paths_are_safe_to_eval(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = name.encode("latin-1")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as peer:
        listener.bind(raw)
        listener.listen(1)
        peer.connect(raw)
        accepted, _ = listener.accept()
        with accepted:
            shell = in_shell(accepted)
            assert shell == dict.fromkeys(KEYS, "") | {
                "FAMILY": "unix", "TYPE": "stream", "LISTENING": "no", "CONNECTED": "yes", "LOCAL_PATH": name,
                "PEER_PID": str(os.getpid()), "PEER_UID": str(os.getuid()), "PEER_GID": str(os.getgid()),
                "COOKIE": str(cookie(accepted))}
            assert as_json(accepted)["local"] == {"path": name.replace("\xff\xfe", "??")}
        assert in_shell(peer)["REMOTE_PATH"] == name
    assert not os.path.exists("owned")


def test_abstract_and_unnamed_unix_sockets():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(f"\0sb-{os.getpid()}\0x")
        assert in_shell(one)["LOCAL_PATH"] == f"@sb-{os.getpid()}@x"
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        found = as_json(left)
        assert (found["type"], found["connected"], found["local"], found["remote"]) == ("seqpacket", True, {}, {})
        assert found["peer"] == {"pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}


def test_descriptor_by_number():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        result = subprocess.run([paths.CLI, "query", str(sock.fileno())], pass_fds=[sock.fileno()], capture_output=True,
                                text=True, check=False)
        assert f"SOCKET_COOKIE={cookie(sock)}\n" in result.stdout
        assert [line.split("=")[0] for line in result.stdout.splitlines()] == [f"SOCKET_{key}" for key in KEYS]


@pytest.mark.parametrize("words, status, said", [
    (["97"], 1, "descriptor 97 is not open"),
    ([], 1, "descriptor 0 is not a socket"),
    (["x"], 2, "'x' is not a descriptor; write its number"),
    (["-1"], 2, "unknown option"),
    (["0", "1"], 2, "one descriptor at a time"),
    (["--xml"], 2, "unknown option '--xml'"),
])
def test_failures(words, status, said):
    with open("/dev/null", "rb") as null:
        result = query(null, *words)
    assert (result.returncode, result.stdout) == (status, "")
    assert said in result.stderr
