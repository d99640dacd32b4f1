# SPDX-License-Identifier: BSD-2-Clause
"""socketbox run --preload: the daemon accepts, and hands over to a program that knows nothing of it."""
import errno
import os
import shutil
import stat
import subprocess
import time

import pytest

from support import paths
from support.control import DESTINATION, TEXT, Control, Refused, message
from support.launch import program, run_once
from support.load import Load, lost
from support.preload import Directory
from support.traffic import ask
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

LIBRARY = {"SOCKETBOX_PRELOAD_LIBRARY": str(paths.PRELOAD)}

SERVER = """
import socket, sys, threading
def serve(listener):
    while True:
        connection, peer = listener.accept()
        connection.recv(4096)
        text = f"{peer[0]} {connection.getsockname()[0]} at {listener.getsockname()[1]}\\n"
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + text.encode())
        connection.close()
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve, args=[listener]).start()
"""


@pytest.fixture
def directory():
    with Directory() as path:
        yield path


def config(path, ports=80, more=None):
    return {"engine": "user", "services": {"a": {"handoff": {"path": str(path), "hold": "10s"}}},
            "routes": [{"to": [V4, V6], "port": ports, "service": "a", **(more or {})}]}


def start(service, daemon, *ports, options=("--preload",)):
    return service(daemon, "a", ["/usr/bin/python3", "-c", SERVER, *map(str, ports)], *options, env=LIBRARY)


def test_isolated_program(world, daemon, service, directory):
    start(service, daemon(config(directory / "web.sock")), 80).ready(f"http://{V4}/")
    assert ask(world, V4, timeout=10) == f"{CLIENT_V4} {V4} at 80\n"
    assert ask(world, V6, timeout=10) == f"{CLIENT_V6} {V6} at 80\n"
    result = Load(world, V6, count=500, concurrency=100, expect=CLIENT_V6).result()
    assert (result["ok"], lost(result)) == (500, {})


def test_each_port_has_its_own_listener(world, daemon, service, directory):
    d = daemon(config(directory / "web-_@SB_.sock", [80, 443]))
    start(service, d, 80, 443).ready(f"http://{V4}/")
    for port in (80, 443):
        assert ask(world, V6, port, timeout=10) == f"{CLIENT_V6} {V6} at {port}\n"
    assert sorted(os.listdir(directory)) == ["web-00080.sock", "web-00443.sock"]


def test_target_port(world, daemon, service, directory):
    d = daemon(config(directory / "web-_@SB_.sock", 80, {"target-port": 3000}))
    start(service, d, 3000).ready(f"http://{V4}/")
    assert ask(world, V6, timeout=10) == f"{CLIENT_V6} {V6} at 3000\n"


def test_path_by_hand(world, daemon, service, directory):
    d = daemon(config(directory / "web.sock"))
    os.symlink(directory, f"{directory}.link")
    try:
        start(service, d, 80, options=[f"--preload={directory}.link/web.sock"]).ready(f"http://{V4}/")
    finally:
        os.unlink(f"{directory}.link")


def test_restart_under_load(world, daemon, service, directory):
    started = start(service, daemon(config(directory / "web.sock")), 80)
    started.ready(f"http://{V4}/")
    load = Load(world, V6, seconds=90, concurrency=8, expect="at 80")
    time.sleep(0.5)
    started.restart()
    started.ready(f"http://{V4}/")
    load.stop()
    result = load.result()
    assert result["ok"] > 20
    assert lost(result, cut_short=8) == {}


def test_environment(world, daemon, directory):
    d = daemon({"engine": "user", "services": {"a": {"handoff": {"path": str(directory / "s")}}},
                "routes": [{"to": [V4, "2001:db8:1::/64"], "port": [80, "8000-8010"], "service": "a"}]})
    result = run_once(world, d, "sh", "-c", "echo $LD_PRELOAD $SOCKETBOX_PRELOAD_SOCKET $SOCKETBOX_PRELOAD_PORTS "
                      "$SOCKETBOX_PRELOAD_ADDRESSES", options=["--preload"],
                      env={**LIBRARY, "LD_PRELOAD": str(program("libother_preload.so")),
                           "ASAN_OPTIONS": "verify_asan_link_order=0"})
    expected = f"{program('libother_preload.so')}:{paths.PRELOAD} {directory}/s 80,8000-8010 {V4},2001:db8:1::/64"
    assert expected in result.stdout.splitlines(), result.stderr


def test_service_without_a_path(world, daemon):
    d = daemon({"engine": "user", "services": {"a": {}}, "routes": [{"to": V4, "port": 80, "service": "a"}]})
    result = run_once(world, d, "true", options=["--preload"], env=LIBRARY)
    assert result.returncode == 1
    assert f"service 'a' has no handoff delivery with a path; add 'handoff: {{path: ...}}' in {d.config}:1" in result.stderr


def test_library_that_is_not_there(world, daemon, directory):
    result = run_once(world, daemon(config(directory / "s")), "true", options=["--preload"],
                      env={"SOCKETBOX_PRELOAD_LIBRARY": "/nonexistent.so"})
    assert "the library /nonexistent.so (set SOCKETBOX_PRELOAD_LIBRARY if it is elsewhere): No such" in result.stderr


def refused(world, started, *command):
    result = run_once(world, started, *command, options=["--preload"], env=LIBRARY)
    assert result.returncode == 1
    return result.stderr


def test_static_program_is_refused_with_the_remedy(world, daemon, directory):
    text = refused(world, daemon(config(directory / "s")), program("static_v6only"), "0")
    assert "is a static program, into which nothing can be preloaded: start it without --preload" in text


def test_program_that_gains_privileges_is_refused_with_the_remedy(world, daemon, directory):
    copy = directory / "true"
    shutil.copy("/bin/true", copy)
    os.chown(copy, 65534, 65534)
    copy.chmod(copy.stat().st_mode | stat.S_ISUID)
    script = directory / "script"
    script.write_text(f"#! {copy} -x\n")
    script.chmod(0o755)
    d = daemon(config(directory / "s"))
    for name in (copy, script):
        text = refused(world, d, name)
        assert f"{copy} is setuid, so the dynamic loader ignores LD_PRELOAD: start it without --preload" in text


def test_options_that_do_not_go_together():
    result = subprocess.run([paths.CLI, "run", "a", "--preload", "--listen-fds", "--", "true"], capture_output=True,
                            text=True, check=False)
    assert result.returncode == 2
    assert "--trace, --listen-fds and --preload do not go together" in result.stderr


def test_destination_by_the_protocol(world, daemon, directory):
    """Needs HELLO, and tells the path as it is configured."""
    d = daemon(config(directory / "s._@SB_"))
    with pytest.raises(Refused) as refusal:
        Control(d).ask(message(DESTINATION))
    assert refusal.value.errno == errno.ENOTCONN
    answer = Control(d, "a").ask(message(DESTINATION))
    assert answer.kind == TEXT
    with os.fdopen(answer.fds[0], "rb") as file:
        assert file.read() == f"{directory}/s._@SB_".encode()
