# SPDX-License-Identifier: BSD-2-Clause
"""The confinement over time: crashes, restarts, removal, several daemons, machines that cannot have it, and its cost."""
import ctypes
import json
import os
import pathlib
import signal
import socket

import pytest

from support import paths
from support.control import UDP, Control
from support.launch import NOBODY, OWN_ROOT, open_to_all, run_once
from support.process import run, until
from support.queries import Queries, dns_query
from support.queries import lost as lost_queries
from support.traffic import Answers, ask, connect, host_server
from support.world import V4, V6

_libc = ctypes.CDLL(None, use_errno=True)
CONFIG = {"services": {"a": {"hold": "20s"}, "b": {}},
          "routes": [{"to": [V4, V6], "port": 80, "service": "a"},
                     {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "a"},
                     {"to": [V4, V6], "port": 81, "service": "b"}]}
PROGRAMS = 9


def escapes(world, listener):
    """Whether a connection that the listener accepts can be turned to a server of the host's."""
    with connect(world, V4, listener.getsockname()[1]):
        accepted, _ = listener.accept()
    with accepted:
        assert _libc.connect(accepted.fileno(), bytes(16), 16) == 0  # AF_UNSPEC
        try:
            accepted.connect((V4, 9999) if accepted.family == socket.AF_INET else (f"::ffff:{V4}", 9999))
            return True
        except PermissionError:
            return False


def pins(daemon):
    """The pinned links, by cgroup."""
    directory = daemon.run_dir / "bpf" / "v2" / "confinement"
    return {each.name: sorted(link.name for link in each.iterdir()) for each in directory.iterdir()} if directory.exists() else {}


def bpftool(*words):
    return json.loads(run(["bpftool", "-j", *words], check=True).stdout or "[]")


def attached(cgroup):
    """How many programs the kernel has on a cgroup."""
    return len(bpftool("cgroup", "show", cgroup))


def maps(daemon):
    """The numbers of the confinement's maps."""
    return {pin.name: bpftool("map", "show", "pinned", pin)["id"] for pin in (daemon.run_dir / "bpf" / "v2").glob("confinement_*")}


def programs(daemon):
    """How many programs use the confinement's maps, attached or not."""
    known = set(maps(daemon).values())
    return sum(bool(known & set(program.get("map_ids", []))) for program in bpftool("prog"))


def is_inside(daemon):
    """Whether the daemon is in the cgroup of its confinement."""
    own = pathlib.Path(f"/proc/{daemon.process.pid}/cgroup").read_text().split("0::")[1].strip()
    return daemon.status()["confinement"]["cgroup"].endswith(own)


@pytest.fixture
def secret(world):
    return host_server(world, V4, 9999, "secret")


def test_status_says_that_it_stands(world, daemon):
    d = daemon(CONFIG)
    confinement = d.status()["confinement"]
    assert (confinement["active"], confinement["adopted"], confinement["why"], confinement["limitation"], confinement["unpinned"]) == (True, False, None, None, None)
    assert "confinement is active" in d.cli("status").stdout
    assert f"confinement is active: {confinement['cgroup']}" in d.process.log()
    assert is_inside(d)


def test_it_stands_while_no_daemon_runs_and_is_adopted(world, daemon, secret):
    d = daemon(CONFIG)
    listener = Control(d, "a").claim(V4)
    before, cgroup = pins(d), d.status()["confinement"]["cgroup"]
    assert [len(links) for links in before.values()] == [PROGRAMS]
    there_is = maps(d), programs(d)
    for _ in range(8):
        d.kill()
        assert not escapes(world, listener)
        d.start()
        assert d.status()["confinement"]["adopted"] and is_inside(d)
        assert not escapes(world, listener)
    assert (pins(d), attached(cgroup)) == (before, PROGRAMS)
    until(lambda: (maps(d), programs(d)) == there_is, what="earlier daemons' programs are gone")
    again = Control(d, "b")
    Answers(again.claim("::", 81), "b")
    assert ask(world, V6, 81) == "b"
    assert secret.count == 0


def test_upgrades_take_it_over(world, daemon, secret):
    d = daemon(CONFIG)
    control = Control(d, "a")
    listener = control.claim(V4)
    before, cgroup, there_is = pins(d), d.status()["confinement"]["cgroup"], (maps(d), programs(d))
    for i in range(8):
        d.process.send(signal.SIGUSR2)
        until(lambda: d.process.log().count("confinement is active") == 2 + i and d.answers(), what="the next daemon")
        assert d.status()["confinement"]["adopted"] and is_inside(d)
        assert not escapes(world, listener)
    assert (pins(d), attached(cgroup), d.status()["confinement"]["cgroup"]) == (before, PROGRAMS, cgroup)
    until(lambda: (maps(d), programs(d)) == there_is, what="earlier daemons' programs are gone")
    assert not escapes(world, Control(d, "b").claim(V4, 81))
    assert secret.count == 0


def test_upgrades_put_it_up_and_say_what_is_outside(world, daemon, secret):
    d = daemon({"confinement": "off", **CONFIG})
    listener = Control(d, "a").claim(V4)
    d.write(CONFIG)
    d.process.send(signal.SIGUSR2)
    until(lambda: "confinement is active" in d.process.log() and d.answers(), what="the next daemon")
    assert d.status()["confinement"]["unconfined"] == 1
    assert "WARNING: 1 sockets that were made before confinement was active are unconfined" in d.cli("status").stdout
    assert "run socketboxd --detach" in d.process.log()
    assert escapes(world, listener)
    assert not escapes(world, Control(d, "b").claim(V4, 81))


def test_sockets_of_a_removed_cgroup_stay_confined(world, daemon, secret):
    """As systemd removes that of a service which it restarts."""
    d = daemon(CONFIG)
    control = Control(d, "a")
    listener = control.claim(V4)
    [old], cgroup = pins(d), d.status()["confinement"]["cgroup"]
    d.kill()
    os.rmdir(cgroup)
    d.start()
    assert len(pins(d)) == 2
    assert not escapes(world, listener)
    assert not d.status()["confinement"]["adopted"]
    control.close()

    def cleared():
        d.restart()
        return old not in pins(d)
    until(cleared, timeout=30)
    assert [len(links) for links in pins(d).values()] == [PROGRAMS]


def test_off_takes_an_earlier_confinement_down(world, daemon, secret):
    d = daemon(CONFIG)
    listener = Control(d, "a").claim(V4)
    cgroup = d.status()["confinement"]["cgroup"]
    d.kill()
    d.options = [*d.options, "--confinement", "off"]
    d.start()
    assert pins(d) == {} and not os.path.exists(cgroup)
    assert escapes(world, listener)
    assert d.status()["confinement"]["why"] == "the configuration or the command line says confinement: off"
    assert "WARNING: NO CONFINEMENT" in d.cli("status").stdout


def test_detach_leaves_nothing(world, daemon):
    d = daemon(CONFIG)
    cgroup = d.status()["confinement"]["cgroup"]
    assert attached(cgroup) == PROGRAMS
    d.process.stop()
    assert os.path.isdir(cgroup)
    world.run([paths.DAEMON, "--detach", "--run-dir", d.run_dir], netns=world.host)
    assert not os.path.exists(cgroup) and not (d.run_dir / "cgroup").exists()


def test_two_daemons_have_a_confinement_each(world, daemon, secret):
    one, other = daemon(CONFIG), daemon(CONFIG, name="other")
    assert one.status()["confinement"]["cgroup"] != other.status()["confinement"]["cgroup"]
    for d, address in ((one, V4), (other, V6)):
        Answers(Control(d, "b").claim(address, 81), "b")
        d.restart()
        Answers(Control(d, "b").claim("::", 81), "b")
    assert ask(world, V6, 81) == "b"


def cgroup2_at(place, before="true"):
    """Runs what follows where cgroup v2 is mounted there, and nowhere else; "": nowhere at all."""
    return (*OWN_ROOT, "unshare", "-m", "sh", "-c",
            "for each in $(sed -n 's/^[^ ]* \\([^ ]*\\) cgroup2 .*/\\1/p' /proc/self/mounts); do umount -l $each; done;"
            f"place={place}; "
            f'[ -z "$place" ] || {{ umount -q -R -l /sys/fs/cgroup; {before}; mkdir -p $place; mount -t cgroup2 none $place || exit; }};'
            'exec "$@"', "sh")


WITHOUT_CGROUP2 = cgroup2_at("")


@pytest.mark.parametrize("layout", ["unified", "hybrid", "elsewhere"])
def test_cgroup_v2_is_found(world, daemon, secret, layout, tmp_path):
    mount = {"unified": ["/sys/fs/cgroup"], "hybrid": ["/sys/fs/cgroup/unified", "mount -t tmpfs none /sys/fs/cgroup"],
             "elsewhere": [tmp_path / "mount"]}[layout]
    d = daemon(CONFIG, prefix=cgroup2_at(*mount))
    assert d.status()["confinement"]["cgroup"].startswith(f"{mount[0]}/")
    assert not escapes(world, Control(d, "a").claim(V4))


def test_without_cgroup_v2_it_is_said(world, daemon):
    d = daemon(CONFIG, prefix=WITHOUT_CGROUP2)
    assert not d.status()["confinement"]["active"]
    assert "no cgroup v2 hierarchy is mounted" in d.status()["confinement"]["why"]
    assert "NO CONFINEMENT: a program that is given a socket" in d.process.log()
    Answers(Control(d, "a").claim("::"), "a")
    assert ask(world, V4) == "a"


def test_required_means_not_to_start_without(world, daemon):
    d = daemon({"confinement": "required", **CONFIG}, prefix=WITHOUT_CGROUP2, wait=False)
    assert d.process.wait(30) == 1
    assert "confinement is required, but cannot be made active: no cgroup v2 hierarchy is mounted" in d.process.log()
    check = world.run([*d.prefix, paths.DAEMON, "--check", "--config", d.config], netns=world.host, check=False)
    assert check.returncode == 1 and "no cgroup v2 hierarchy is mounted" in check.stderr


def test_a_user_s_daemon_says_what_it_lacks(world, daemon):
    directory = world.directory / "theirs"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    open_to_all(type("Directory", (), {"run_dir": directory}))
    d = daemon({"services": {"a": {}}, "routes": [{"to": V4, "port": 8080, "service": "a"}]}, run_dir=directory / "run",
               options=["--engine", "user"], prefix=NOBODY, wait=False)
    os.chmod(d.config, 0o644)
    until(d.answers, timeout=30)
    assert not d.status()["confinement"]["active"]
    assert "cannot make the cgroup" in d.status()["confinement"]["why"]
    assert "NO CONFINEMENT" in d.process.log()
    d.write({"confinement": "required", "services": {}, "routes": []})
    d.process.send(signal.SIGUSR2)
    until(lambda: "upgrade refused" in d.process.log(), what="the upgrade is refused")
    assert "confinement is required, but cannot be made active: cannot make a cgroup" in d.process.log()
    assert d.answers()


def test_the_user_engine_has_one_too(world, daemon, secret):
    d = daemon(CONFIG, options=["--engine", "user"])
    assert d.status()["engine"]["name"] == "user" and d.status()["confinement"]["active"]
    assert not escapes(world, Control(d, "a").claim(V4))


def test_a_reload_does_not_change_it(world, daemon):
    d = daemon(CONFIG)
    assert "'confinement' has changed; restart socketboxd for that" in d.reload({"confinement": "off", **CONFIG}).stderr
    assert d.status()["confinement"]["active"]


def test_own_sockets_of_a_service_are_free(world, daemon, secret):
    d = daemon(CONFIG)
    connects = f"import socket; print(socket.create_connection(('{V4}', 9999), 5).getpeername()[1])"
    assert run_once(world, d, "/usr/bin/python3", "-c", connects).stdout == "9999\n"


USES_ITS_OWN = """
import os, socket
try:
    socket.create_connection(('%s', 9999), 5)
    result = 'free'
except OSError as error:
    result = error.strerror
given = socket.socket(fileno=0)
given.recv(100)
with open('/proc/self/cgroup') as file:
    cgroup = file.read().splitlines()[-1].split('/')[-1]
given.sendall(f'HTTP/1.0 200 OK\\r\\n\\r\\n{result} {cgroup}'.encode())
""" % V4


@pytest.mark.parametrize("cgroup", ["own", "none"])
def test_programs_that_the_daemon_starts_are_outside(world, daemon, secret, cgroup):
    program = {"command": ["/usr/bin/python3", "-c", USES_ITS_OWN], "cgroup": cgroup}
    d = daemon({"services": {"x": {"exec": program}}, "routes": [{"to": V4, "port": 80, "service": "x"}]},
               options=["--confinement", "required"])
    result, _, name = ask(world, V4, timeout=20).partition(" ")
    assert result == "free"
    assert "confinement" not in name
    assert name.startswith("socketbox-x") == (cgroup == "own")


class Echo(Answers):
    """Sends each packet back."""

    def _answer(self):
        data, peer = self.sock.recvfrom(4096)
        self.sock.sendto(data, peer)


@pytest.mark.parametrize("address", [V4, V6], ids=["ipv4", "ipv6"])
def test_ten_thousand_queries_and_none_lost(world, daemon, address):
    d = daemon(CONFIG)
    control = Control(d, "a")
    echo = Echo(control.claim(address, 53, protocol=UDP), "")
    result = Queries(world, address, 53, dns_query("example.test"), count=10000).result()
    assert result["ok"] == 10000 and lost_queries(result) == {}, result
    echo.stop()
    control.close()
