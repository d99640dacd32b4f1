# SPDX-License-Identifier: BSD-2-Clause
"""What the daemon may do, started as root: no more than SECURITY.md lists, while all that it is for works; and what it
starts may do all that root may."""
import json
import os
import pathlib
import re
import socket
import stat
import subprocess

import pytest

from support import paths
from support.control import UDP, Control
from support.launch import NOBODY, open_to_all
from support.process import run, until
from support.traffic import Answers, ask, ask_udp, connect, host_server
from support.world import V4, V6


def answer_with(command):
    """A program's shell command: what it prints goes to the client at once."""
    return f"dd bs=4096 count=1 >/dev/null 2>&1; printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s' \"$({command})\""


PRIVILEGES = answer_with("grep -E '^(Uid|Cap...|NoNewPrivs|Seccomp):' /proc/self/status")
PLACE = answer_with("id -un; id -gn; nice; ulimit -n; readlink /proc/self/ns/net; echo diagnostic >/dev/stderr")

# As SECURITY.md has them.
LOOP = {"bpf", "net_admin", "net_bind_service", "dac_override", "fowner", "kill", "sys_resource"}
AGENT = {"setuid", "setgid", "sys_admin", "sys_ptrace", "sys_resource", "sys_nice", "chown", "dac_override"}
START = {"bpf", "net_admin", "sys_admin"}
NUMBERS = {"chown": 0, "dac_override": 1, "fowner": 3, "kill": 5, "setgid": 6, "setuid": 7, "net_bind_service": 10,
           "net_admin": 12, "sys_ptrace": 19, "sys_admin": 21, "sys_nice": 23, "sys_resource": 24, "bpf": 39}


def own_bounding():
    return int(re.search(r"^CapBnd:\s*(\w+)", pathlib.Path("/proc/self/status").read_text(), re.MULTILINE)[1], 16)


FEW_DESCRIPTORS = ("prlimit", "--nofile=4096:4096")
MORE = "8192" if own_bounding() >> NUMBERS["sys_resource"] & 1 else "2048"  # some containers lack even that


def config(world):
    nobody = {"user": "nobody", "group": "daemon", "nice": -5, "netns": world.client, "rlimit": {"nofile": int(MORE)}}
    neighbour = world.start([*NOBODY, "sleep", "300"], "neighbour", netns=world.client)
    return {
        "services": {
            "claimed": {},
            "handed": {"handoff": {"path": str(world.directory / "handed.sock")}},
            "wide": {"handoff": {"path": str(world.directory / "wide.sock")}},
            "relayed": {"relay": {"to": "127.0.0.1:7001"}},
            "root": {"exec": {"command": ["/bin/sh", "-c", PRIVILEGES]}},
            "nobody": {"exec": {"command": ["/bin/sh", "-c", PLACE], "stderr": "log", **nobody}},
            "beside": {"exec": {"command": ["/bin/sh", "-c", answer_with("readlink /proc/self/ns/net")],
                                "netns": str(neighbour.pid)}},
            "ended": {"exec": {"command": ["/bin/sh", "-c", "trap 'printf ended; exit' TERM; sleep 100 & wait"],
                               "user": "nobody", "max-time": "1s"}},
            "haproxy": {"getsocks": str(world.directory / "getsocks")},
        },
        "routes": [{"to": [V4, V6], "port": port, "service": service} for port, service in
                   ((80, "claimed"), (81, "handed"), (82, "relayed"), (83, "root"), (84, "nobody"), (85, "ended"),
                    (86, "haproxy"), (87, "beside"), (88, "wide"))] + [{"to": [V4, V6], "port": 53, "protocol": "udp", "service": "claimed"}],
    }


def threads(daemon):
    """What /proc says of the event loop and of the agent."""
    shown = {}
    for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir():
        status = dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.MULTILINE))
        shown["loop" if task.name == str(daemon.process.pid) else status["Name"]] = status
    return shown["loop"], shown["agent"]


def mask(names):
    return sum(1 << NUMBERS[name] for name in names)


def bounded(names):
    """Starts what follows without the capabilities that are not named."""
    return (*FEW_DESCRIPTORS, "setpriv", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in sorted(names))]))


class HandedTo:
    """A receiver of a user's."""

    def __init__(self, path, mode, uid=65534):
        pathlib.Path(path).unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"{path}.new")
        self.socket.settimeout(10)
        os.chmod(f"{path}.new", mode)
        os.chown(f"{path}.new", uid, uid)
        os.rename(f"{path}.new", path)
        self.path = path

    def take(self):
        _, [fd], _, _ = socket.recv_fds(self.socket, 1, 1)
        with socket.socket(fileno=fd) as connection:
            connection.settimeout(10)
            connection.recv(100)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhanded")


def tour(world, daemon, getsocks_path=None):
    """All that the daemon does for services, once over; returns what is not as it should be."""
    amiss = []

    def expect(what, got, wanted):
        if got != wanted:
            amiss.append(f"{what}: {got!r}, not {wanted!r}")

    def attempt(what, function):
        try:
            function()
        except (OSError, AssertionError, IndexError, subprocess.SubprocessError) as error:
            amiss.append(f"{what}: {error}")

    def claim():
        control = Control(daemon, "claimed")
        servers = [Answers(control.claim("::", 80), "claimed"), Answers(control.claim(V6, 53, protocol=UDP), "packet")]
        expect("a claim", [ask(world, V6, 80), ask(world, V4, 80)], ["claimed"] * 2)
        expect("a claim by UDP", ask_udp(world, V6, 53), "packet")
        for server in servers:
            server.stop()
        control.close()

    def hand():
        with connect(world, V6, 81) as client:
            client.send(b"hello")
            receiver.take()
            expect("a handoff", client.recv(100)[-6:], b"handed")

    def narrow():
        until(lambda: stat.S_IMODE(os.stat(wide.path).st_mode) == 0o600, timeout=3, what="the receiver's mode is 0600")

    def start_root():
        root = dict(re.findall(r"(\w+):\s*(.*)", ask(world, V6, 83, timeout=10)))
        expect("root's programs", {root[name] for name in ("CapPrm", "CapEff", "CapBnd")}, {threads(daemon)[0]["CapBnd"]})
        expect("their filter", (root["Seccomp"], root["NoNewPrivs"]), ("0", "0"))

    def start_nobody():
        nobody = ask(world, V6, 84, timeout=10).split()
        namespace = f"net:[{os.stat(f'/run/netns/{world.client}').st_ino}]"
        expect("a user's programs", nobody, ["nobody", "daemon", "-5", MORE, namespace])
        until(lambda: "diagnostic" in daemon.process.log(), timeout=3, what="what they complain of is logged")

    def start_beside():
        expect("programs beside others", ask(world, V6, 87, timeout=10), f"net:[{os.stat(f'/run/netns/{world.client}').st_ino}]")

    def end():
        with connect(world, V6, 85) as client:
            expect("the end of a user's program", client.recv(100), b"ended")

    def getsocks():
        with socket.socket(socket.AF_UNIX) as haproxy:
            haproxy.settimeout(5)
            haproxy.connect(str(getsocks_path or world.directory / "getsocks"))
            haproxy.send(b"_getsocks\n")
            expect("haproxy -x", len(haproxy.recv(4)), 4)

    def reload():
        daemon.reload()
        claim()
        expect("explain", daemon.explain("tcp", V6, "83")["action"], "service")

    receiver = HandedTo(world.directory / "handed.sock", 0o600)
    wide = HandedTo(world.directory / "wide.sock", 0o777)
    behind = host_server(world, "127.0.0.1", 7001, "relayed")
    for what in claim, hand, narrow, start_root, start_nobody, start_beside, end, getsocks, reload:
        attempt(what.__name__, what)
    attempt("relay", lambda: expect("a relay", ask(world, V6, 82), "relayed"))
    behind.stop()
    behind.sock.close()
    receiver.socket.close()
    wide.socket.close()
    return amiss


def test_each_thread_keeps_what_it_uses(world, daemon):
    d = daemon(config(world))
    loop, agent = threads(d)
    assert int(loop["CapEff"], 16) == int(loop["CapPrm"], 16) == mask(LOOP) & own_bounding()
    assert int(agent["CapEff"], 16) == int(agent["CapPrm"], 16) == mask(AGENT) & own_bounding()
    assert int(loop["CapBnd"], 16) == int(agent["CapBnd"], 16) == own_bounding()
    assert loop["CapAmb"] == agent["CapAmb"] == "0" * 16


@pytest.mark.skipif(paths.SANITIZED, reason="sanitizers make calls of their own")
def test_the_event_loop_s_calls_are_filtered(world, daemon):
    loop, agent = threads(daemon(config(world)))
    assert (loop["Seccomp"], agent["Seccomp"]) == ("2", "0")


@pytest.mark.skipif(paths.SANITIZED, reason="sanitizers make calls of their own")
def test_what_the_filter_refuses(world, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    shown = world.run([paths.PROGRAMS / "confined", file], netns=world.host).stdout
    results = dict(line.split() for line in shown.splitlines())
    may = {"read-file", "make-map", "agent-start"}
    assert results == {name: "ok" if name in may else "EPERM" for name in results} and len(results) == 18, results


def test_all_works_without_any_other_capability(world, daemon):
    d = daemon(config(world), prefix=bounded(LOOP | AGENT | START))
    assert tour(world, d) == []
    assert d.status()["confinement"]["active"] and not d.status()["engine"].get("pins_fault")


def test_what_it_becomes_has_root_s_rights_again(world, daemon):
    d = daemon(config(world), prefix=FEW_DESCRIPTORS)
    for _ in range(3):
        d.upgrade()
        loop, agent = threads(d)
        assert (int(loop["CapPrm"], 16), int(agent["CapPrm"], 16)) == (mask(LOOP) & own_bounding(), mask(AGENT) & own_bounding())
    assert tour(world, d) == []
    assert d.status()["confinement"]["active"] and d.status()["engine"]["adopted"]
    assert d.process.stop() == 0  # its signals are as at the first start


# What does not work without it.
NEEDED = {
    "bpf": "reload", "chown": "start_nobody: what they complain of", "dac_override": "hand", "fowner": "narrow",
    "kill": "end", "net_bind_service": "claim: .*it lacks CAP_NET_BIND_SERVICE", "setgid": "start_nobody",
    "setuid": "start_nobody", "sys_nice": "start_nobody", "sys_ptrace": "start_beside", "sys_resource": "start_nobody",
    "net_admin": "SO_ATTACH_FILTER", "sys_admin": "the kernel refused the BPF programs",
}


@pytest.mark.parametrize("name", [name for name in sorted(LOOP | AGENT | START) if own_bounding() >> NUMBERS[name] & 1])
def test_each_capability_is_needed(world, daemon, name):
    d = daemon(config(world), prefix=bounded((LOOP | AGENT | START) - {name}), wait=False)
    try:
        until(d.answers, what="the daemon answers")
        amiss = tour(world, d)
    except AssertionError as error:
        amiss = [str(error)]
    assert any(re.search(NEEDED[name], each) for each in amiss), amiss


def test_it_writes_no_file_outside_its_run_directory(world, daemon):
    """Landlock refuses it all other writing; what it does all the time works all the same. What it is told to write to
    is a cgroup's, and the programs' errors go to /dev/null."""
    run_dir = world.directory / "confined.run"
    (run_dir / "bpf").mkdir(parents=True)
    run(["mount", "-t", "bpf", "bpf", run_dir / "bpf"], check=True)  # which Landlock would refuse, too
    [cgroups] = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()
                 if line.split()[2] == "cgroup2"][:1]
    told = config(world)
    told["services"]["haproxy"]["getsocks"] = str(run_dir / "getsocks")
    d = daemon(told, run_dir=run_dir, prefix=("/usr/bin/python3", paths.SOURCE / "tests" / "support" / "confine.py", run_dir,
                                              cgroups, "/dev/null", "--"))
    assert d.status()["confinement"]["active"] and d.status()["engine"]["pins"]
    amiss = tour(world, d, run_dir / "getsocks")
    assert [each for each in amiss if not each.startswith("start_beside")] == []  # it may not look at processes outside, either
    d.upgrade()
    d.restart()
    d.reload(told)
    assert d.process.stop() == 0
    run([paths.DAEMON, "--detach", "--run-dir", run_dir], check=True)
