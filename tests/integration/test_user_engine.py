# SPDX-License-Identifier: BSD-2-Clause
"""The user engine: what it does without any privilege, and what it says that it cannot do."""
import errno
import json
import os
import subprocess
import types

import pytest

from support import paths
from support.control import REUSEPORT, Control, Refused
from support.launch import NOBODY, OWN_ROOT, program
from support.process import until
from support.traffic import REFUSED, SILENT, Answers, ask, host_server
from support.world import CLIENT_V6, PREFIX_V6, V4, V6

OTHER = "2001:db8:1::5"  # in PREFIX_V6


@pytest.fixture
def engine():
    return "user"


def test_status_says_which_engine_and_why(world, daemon):
    started = daemon({"services": {"a": {}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    assert started.status()["engine"]["name"] == "user"
    assert "engine: user" in started.status()["engine"]["reason"]
    assert started.cli("status").stdout.splitlines()[1].startswith("engine user: ")
    answer = started.explain("tcp", V6, "80")
    assert (answer["engine"], answer["outcome"]) == ("user", "refused: the service has no socket")
    control = Control(started, "a")
    Answers(control.claim(V6), "a")
    answer = started.explain("tcp", V6, "80")
    assert answer["outcome"] == "served"
    assert answer["socket"]["claim"]["claimants"][0]["pid"] == os.getpid()
    assert started.explain("tcp", V4, "80")["outcome"] == "the host's own sockets"


def test_a_wildcard_claim_hears_its_routes_only(world, daemon):
    started = daemon({"services": {"a": {}}, "routes": [
        {"to": V6, "port": 80, "from": CLIENT_V6, "service": "a"}, {"to": PREFIX_V6, "port": 80, "service": "a"}]})
    Answers(Control(started, "a").claim("::"), "a")
    assert ask(world, V6) == "a"
    assert ask(world, OTHER) == "a"
    assert ask(world, V4, timeout=1) == SILENT
    started.reload({"services": {"a": {}}, "routes": [{"to": V4, "port": 80, "service": "a"}]})
    assert ask(world, V6, timeout=1) == SILENT
    assert ask(world, V4) == "a"


def test_a_port_that_services_share_cannot_be_claimed(world, daemon):
    started = daemon({"services": {"a": {}, "b": {}}, "routes": [
        {"to": V6, "port": 80, "from": CLIENT_V6, "service": "a"}, {"to": V6, "port": 80, "service": "b"}]})
    with pytest.raises(Refused, match="--preload"):
        Control(started, "b").claim(V6)


def test_services_that_share_an_address_by_source(world, daemon, tmp_path):
    for name in "near", "far":
        world.start([paths.RECEIVER, tmp_path / f"{name}.sock", name], name)
    services = {name: {"handoff": {"path": str(tmp_path / f"{name}.sock")}} for name in ("near", "far")}
    daemon({"services": services, "routes": [
        {"to": V6, "port": 80, "from": f"{CLIENT_V6}/128", "service": "near"}, {"to": V6, "port": 80, "service": "far"},
        {"to": PREFIX_V6, "port": 81, "service": "far"}]})
    assert ask(world, V6).endswith("near\n")
    assert ask(world, OTHER, 81).endswith("far\n")


def test_a_prefix_takes_the_port_on_all_addresses_and_says_so(world, daemon, tmp_path):
    world.start([paths.RECEIVER, tmp_path / "a.sock", "a"], "receiver")
    started = daemon({"services": {"a": {"handoff": {"path": str(tmp_path / "a.sock")}}},
                      "routes": [{"to": PREFIX_V6, "port": 80, "service": "a"}]})
    assert f"connections to port 80 of addresses outside {PREFIX_V6} are refused" in started.process.log()
    assert ask(world, OTHER).endswith("a\n")
    with pytest.raises(ConnectionResetError):
        ask(world, V6)


def test_too_many_ports_are_refused_with_the_remedy(world, daemon, tmp_path):
    config = {"services": {"a": {"handoff": {"path": str(tmp_path / "a.sock")}}},
              "routes": [{"to": V6, "port": 80, "service": "a"}]}
    started = daemon(config)
    config["routes"].append({"to": V6, "port": "10000-20000", "service": "a"})
    result = started.reload(config, check=False)
    assert result.returncode == 1
    assert "tproxy-port" in result.stderr
    assert len(started.status()["routes"]) == 1


def test_tproxy_brings_port_ranges(world, daemon, tmp_path):
    """The recipe of socketboxd(8)."""
    world.start([paths.RECEIVER, tmp_path / "a.sock", "a"], "receiver")
    daemon({"tproxy-port": 999, "services": {"a": {"handoff": {"path": str(tmp_path / "a.sock")}}},
            "routes": [{"to": [V4, V6], "from": ["0.0.0.0/0", "::/0"], "service": "a"}]})
    for tables, family, address in (("iptables", "-4", V4), ("ip6tables", "-6", V6)):
        for command in ([tables, "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "-d", address, "--dport", "1000:60000",
                         "-j", "TPROXY", "--on-port", "999", "--tproxy-mark", "1"],
                        ["ip", family, "rule", "add", "fwmark", "1", "lookup", "100"],
                        ["ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100"]):
            world.run(command, netns=world.host)
        for port in 1000, 31337, 60000:
            assert f"server={address} a" in ask(world, address, port)
        assert ask(world, address, 80) == REFUSED


def test_the_hosts_own_servers_stay(world, daemon):
    started = daemon({"services": {"a": {}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    host_server(world, V4, 80, "host")
    Answers(Control(started, "a").claim(V6), "a")
    assert (ask(world, V4), ask(world, V6)) == ("host", "a")


def test_everything_as_an_ordinary_user(world, tmp_path):
    """Daemon, launcher and server, in the user's own directory and on a high port."""
    directory = f"/var/tmp/socketbox-test-rootless-{os.getpid()}"
    subprocess.run(["install", "-d", "-o", "65534", "-g", "65534", "-m", "0700", directory], check=True)
    try:
        check_rootless(world, tmp_path, directory)
    finally:
        subprocess.run(["rm", "-rf", directory], check=True)


def check_rootless(world, tmp_path, directory):
    config = f"{directory}/socketbox.yaml"
    with open(config, "w", encoding="ascii") as file:
        json.dump({"services": {"a": {}}, "routes": [{"to": [V4, V6], "port": 8080, "service": "a"}]}, file)
    copies = {}
    for source in paths.DAEMON, paths.CLI, program("v6only"):
        copies[source.name] = f"{directory}/{source.name}"
        subprocess.run(["install", "-m", "0755", source, copies[source.name]], check=True)
    world.start([*NOBODY, copies["socketboxd"], "--config", config, "--run-dir", f"{directory}/run"], "daemon",
                netns=world.host)
    control = f"{directory}/run/control.sock"
    until(lambda: os.path.exists(control), 60, "the daemon is there")
    status = subprocess.run([*NOBODY, copies["socketbox"], "status", "--json", "--control", control],
                            capture_output=True, text=True, check=True)
    engine = json.loads(status.stdout)["engine"]
    assert engine["name"] == "user" and "CAP_BPF" in engine["reason"]
    world.start([*OWN_ROOT, *NOBODY, copies["socketbox"], "run", "a", "--control", control, "--isolate", "--",
                 copies["v6only"], "1"], "service", netns=world.host)
    until(lambda: world.curl(f"http://[{V6}]:8080/", check=False), 60, "the service answers")
    assert ask(world, V4, 8080, timeout=1) in (REFUSED, SILENT)
    check_rootless_drain(world, copies["socketbox"], control)


def check_rootless_drain(world, cli, control):
    """Filters, groups that the daemon joins, and questions about their queues."""
    drain = [*NOBODY, cli, "drain", "a", "--control", control]
    for _ in range(3):
        member = Control(types.SimpleNamespace(control=control), "a")
        try:
            Answers(member.claim(V4, 8080, flags=REUSEPORT), "group")
        except Refused as refused:
            assert refused.errno == errno.EPERM
            assert "would go on taking connections" in subprocess.run(drain, capture_output=True, text=True, check=False).stderr
            return  # a machine that lets no ordinary user filter sockets
    assert ask(world, V4, 8080) == "group"
    subprocess.run([*drain, "--timeout", "10s"], check=True)
    assert {ask(world, address, 8080, timeout=0.5) for address in (V4, V6) * 4} == {SILENT}
    subprocess.run([*drain, "--end"], check=True)
    assert {ask(world, V4, 8080) for _ in range(8)} == {"group"}
    assert world.curl(f"http://[{V6}]:8080/")
