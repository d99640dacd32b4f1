# SPDX-License-Identifier: BSD-2-Clause
"""socketbox run: programs that do awkward things around bind get working sockets all the same."""
import os
import re
import signal
import subprocess

import pytest

from support import paths
from support.launch import NOBODY, OWN_ROOT, Copies, open_to_all, program, run_once
from support.load import Load, lost
from support.process import until
from support.world import V4, V6

pytestmark = pytest.mark.both_engines

CONFIG = {"services": {"a": {"hold": "3s"}},
          "routes": [{"to": [V4, V6], "port": 8080, "service": "a"}]}
URL4, URL6 = f"http://{V4}:8080/", f"http://[{V6}]:8080/"


def serve(world, daemon, service, name, *arguments, url=URL6):
    d = daemon(CONFIG)
    service(d, "a", [program(name), *arguments]).ready(url)
    return d


def test_duplicate_made_before_bind(world, daemon, service):
    serve(world, daemon, service, "dup_before_bind")
    assert world.curl(URL4) == "cloexec 0 1\n"


def test_epoll_registration_made_before_bind(world, daemon, service):
    serve(world, daemon, service, "epoll_before_bind")
    assert world.curl(URL6) == "events 2 data 1234567890abcdef 77 registrations 2\n"


def test_options_set_before_bind_survive(world, daemon, service):
    serve(world, daemon, service, "options_before_bind")
    assert world.curl(URL6) == (
        "rcvbuf 100000 sndbuf-locked 0 keepalive 1 nodelay 1 keepidle 77 defer 1 fastopen 33 pktinfo 1 "
        "linger 7 nonblock 1\n")


def test_dual_stack_socket_takes_both_families(world, daemon, service):
    serve(world, daemon, service, "v6only", "0")
    assert (world.curl(URL4), world.curl(URL6)) == ("both\n", "both\n")


def test_ipv6_only_socket_refuses_ipv4(world, daemon, service):
    serve(world, daemon, service, "v6only", "1")
    assert world.curl(URL6) == "only\n"
    assert "Couldn't connect" in world.run(["curl", "-sS", "-m", "5", URL4], check=False).stderr


def test_static_program(world, daemon, service):
    serve(world, daemon, service, "static_v6only", "0")
    assert world.curl(URL4) == "both\n"


def test_thread_binds(world, daemon, service):
    serve(world, daemon, service, "thread_binds")
    assert world.curl(URL4) == "thread\n"


@pytest.mark.kernel_engine("tells claimed sockets by their placeholders")
def test_nested_namespace_keeps_its_own_sockets(world, daemon, service):
    serve(world, daemon, service, "nested_namespace")
    assert world.curl(URL6) == "inner own outer claimed\n"


@pytest.mark.parametrize("environment", [{}, {"SOCKETBOX_TEST_NO_WAIT_KILLABLE": "1"}], ids=["flag", "fallback"])
def test_signals_during_bind(world, daemon, environment):
    d = daemon({"services": {"a": {}}, "routes": [{"to": V6, "port": "8080-8479", "service": "a"}]})
    result = run_once(world, d, program("signal_storm"), 300, env=environment)
    assert (result.stdout, result.stderr) == ("failed 0 of 300 (none), split 0, signals many\n", "")


def test_binds_that_stay_the_programs_own(world, daemon):
    d = daemon(CONFIG)
    result = run_once(world, d, program("bind_kinds"), options=["--isolate"])
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert lines == {
        "loopback": "ok ::1",
        "loopback v4": "ok ::ffff:127.0.0.1",
        "port 0": "ok ::",
        "uncovered": "ok ::",
        "uncovered again": "ok ::",
        "netlink": "ok",
        "unix": "ok",
        "unspecified": "ok",
        "second bind": "Operation not permitted",  # the confinement's answer, where the kernel's would be EINVAL
        "siocgskns": "Operation not permitted",
    }
    warning = "no route of service 'a' covers tcp [::]:9999; to serve it, add the route " \
              "{to: ADDRESS, port: 9999, service: a}"
    assert result.stderr == f"socketbox run: {warning}\n"


def test_binds_do_not_wait_for_a_dead_launcher_unless_they_are_inet(world, daemon, tmp_path):
    """getaddrinfo binds netlink sockets: with the launcher stopped, it still answers. And so do binds of whole
    sockaddr_un, with which C programs bind Unix sockets."""
    d = daemon(CONFIG)
    script = ("import ctypes, os, signal, socket; os.kill(os.getppid(), signal.SIGSTOP);"
              "print(socket.getaddrinfo('localhost', 80)[0][4][1]);"
              "s = socket.socket(socket.AF_UNIX); name = b'\\x01\\0\\0' + str(os.getpid()).encode();"
              "assert not ctypes.CDLL(None).bind(s.fileno(), name.ljust(110, b'\\0'), 110);"
              "os.kill(os.getppid(), signal.SIGCONT)")
    result = run_once(world, d, "/usr/bin/python3", "-c", script)
    assert result.stdout == "80\n", result.stderr


def test_setuid_child_of_a_privileged_launcher(world, daemon):
    d = daemon(CONFIG)
    with Copies(program("show_privileges")) as (copy,):
        os.chmod(copy, 0o4755)
        result = run_once(world, d, "setpriv", "--reuid=65534", "--clear-groups", copy)
    assert result.stdout == "no_new_privs 0 euid 0\n", result.stderr


def test_ordinary_user_isolates_with_a_user_namespace(world, daemon):
    d = daemon({"services": {"a": {"allow": {"user": "nobody"}}},
                "routes": [{"to": [V4, V6], "port": 8080, "service": "a"}]})
    open_to_all(d)
    with Copies(paths.CLI, program("v6only")) as (cli, server):
        process = world.start([*OWN_ROOT, *NOBODY, cli, "run", "a", "--control", d.control, "--isolate", "--",
                               server, "0"], "user", netns=world.host)
        until(lambda: world.curl(URL4, check=False) or not process.running())
        assert world.curl(URL4) == "both\n", process.log()
        assert d.claims("a")[0]["claimants"][0]["uid"] == 65534


def test_user_who_is_not_allowed_is_told_how(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    with Copies(paths.CLI) as (cli,):
        result = run_once(world, d, "true", prefix=NOBODY, cli=cli)
    assert result.returncode == 1
    assert f"user 65534 may not claim service 'a'; allow it with 'allow: {{user: 65534}}' in {d.config}:1" \
        in result.stderr


@pytest.mark.parametrize("options,expected", [
    ([], {V4, V6}),
    (["--address", "198.51.100.9"], {V4, V6, "198.51.100.9"}),
    (["--no-addresses"], set()),
])
def test_addresses_of_the_empty_namespace(world, daemon, options, expected):
    d = daemon(CONFIG)
    result = run_once(world, d, "ip", "-br", "addr", "show", options=["--isolate", *options])
    assert re.match(r"lo +UNKNOWN ", result.stdout)
    assert len(result.stdout.splitlines()) == 1
    addresses = {word.split("/")[0] for word in result.stdout.split()[2:]} - {"127.0.0.1", "::1"}
    assert addresses == expected


@pytest.mark.parametrize("command,status", [
    (["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -TERM $$"], -signal.SIGTERM)])
def test_exit_status_is_the_programs(world, daemon, command, status):
    assert run_once(world, daemon(CONFIG), *command).returncode == status


def test_program_that_does_not_exist(world, daemon):
    result = run_once(world, daemon(CONFIG), "/nonexistent/server")
    assert result.returncode == 1
    assert "cannot execute /nonexistent/server: No such file or directory" in result.stderr


def test_service_that_does_not_exist(world, daemon):
    d = daemon({"services": {"b": {}}, "routes": [{"to": V6, "port": 1, "service": "b"}]})
    result = run_once(world, d, "true")
    assert result.returncode == 1
    assert f"there is no service 'a' in {d.config}; add it under 'services:'" in result.stderr


def test_no_daemon(tmp_path):
    result = subprocess.run([paths.CLI, "run", "a", "--control", tmp_path / "none.sock", "--", "true"],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"socketboxd does not answer on {tmp_path}/none.sock; start it" in result.stderr


def test_signals_are_passed_on(world, daemon, service):
    d = daemon(CONFIG)
    s = service(d, "a", ["sh", "-c", "trap 'echo got usr1; exit 5' USR1; echo up; while :; do sleep 0.1; done"])
    until(lambda: "up" in s.log())
    s.process.send(signal.SIGUSR1)
    assert s.process.wait() == 5
    assert "got usr1" in s.log()


def test_program_that_goes_into_the_background(world, daemon, service, tmp_path):
    d = daemon(CONFIG)
    pid_file = tmp_path / "pid"
    s = service(d, "a", [program("daemonizes"), pid_file])
    s.ready(URL6)
    assert world.curl(URL4) == "daemon\n"
    assert s.process.running()
    assert d.claims("a")[0]["state"] == "claimed"
    s.process.send(signal.SIGTERM)
    assert s.process.wait() == 0
    assert not os.path.exists(f"/proc/{pid_file.read_text().strip()}")


def test_launcher_finds_a_restarted_daemon(world, daemon, service):
    d = serve(world, daemon, service, "v6only", "0")
    cookie = d.claims("a")[0]["cookie"]
    load = Load(world, V6, 8080, seconds=3, expect="both")
    d.kill()
    assert world.curl(URL4) == "both\n"
    d.start()
    claim = until(lambda: d.claims("a"))[0]
    assert (claim["state"], claim["cookie"]) == ("claimed", cookie)
    assert lost(load.result()) == {}


def test_bind_waits_for_a_daemon_that_is_away(world, daemon, service):
    d = daemon(CONFIG)
    s = service(d, "a", ["sh", "-c", f"echo up; sleep 1; exec {program('v6only')} 0"])
    until(lambda: "up" in s.log())
    d.kill()
    with pytest.raises(AssertionError):
        until(lambda: world.curl(URL6, check=False), timeout=2)
    d.start()
    s.ready(URL6)


def test_shut_down_listener_is_replaced(world, daemon, service):
    d = serve(world, daemon, service, "rebind")
    s = world.processes[-1]
    assert world.curl(URL6) == "round 0\n"
    for number in range(1, 4):
        pid = int(subprocess.run(["pgrep", "-P", str(s.pid)], capture_output=True, text=True, check=True).stdout)
        os.kill(pid, signal.SIGHUP)
        until(lambda: world.curl(URL6, check=False) == f"round {number}\n")
    assert len(d.claims("a")) == 1


def test_trace_prints_configuration(world, tmp_path):
    script = ("import socket;"
              "a = socket.create_server(('', 8080));"
              "e = socket.create_server(('', 8081), family=socket.AF_INET6, dualstack_ipv6=True);"
              f"b = socket.socket(socket.AF_INET6); b.bind(('{V6}', 8443));"
              "c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.bind(('0.0.0.0', 5353));"
              "d = socket.create_server(('127.0.0.1', 9090))")
    result = subprocess.run(
        ["nsenter", f"--net=/run/netns/{world.host}", paths.CLI, "run", "--trace", "--", "/usr/bin/python3", "-c", script],
        capture_output=True, text=True, check=True)
    assert result.stdout == f"""services:
  python3: {{}}
routes:
  # Where 'to' is 0.0.0.0/0 or ::/0, the program binds all addresses: write those
  # that it shall serve, such as this machine's own, or it gets the port on all.
  - {{to: "{V6}", port: 8443, service: python3}}
  - {{to: "0.0.0.0/0", port: 8080, service: python3}}
  - {{to: ["0.0.0.0/0", "::/0"], port: 8081, service: python3}}
  - {{to: "0.0.0.0/0", port: 5353, protocol: udp, service: python3}}
"""
    assert "binds tcp 127.0.0.1:9090: passed through, and always the program's own" in result.stderr
    (tmp_path / "traced.yaml").write_text(result.stdout)
    subprocess.run([paths.CLI, "check", tmp_path / "traced.yaml"], check=True, capture_output=True)


def test_listen_fds(world, daemon, service):
    d = daemon({"services": {"a": {}},
                "routes": [{"to": [V4, V6], "port": [8081, 8080], "service": "a"},
                           {"to": V4, "port": 53, "protocol": "udp", "service": "a"}]})
    service(d, "a", [program("listen_fds")], "--listen-fds").ready(URL6)
    assert world.curl(URL4) == "3 sockets: tcp-8081:tcp-8080:udp-53\n"
    assert {c["address"] for c in d.claims("a")} == {"[::]:8081", "[::]:8080", "0.0.0.0:53"}


def test_listen_fds_refuses_port_ranges(world, daemon):
    d = daemon({"services": {"a": {}}, "routes": [{"to": V4, "port": "1000-2000", "service": "a"}]})
    result = run_once(world, d, "true", options=["--listen-fds"])
    assert result.returncode == 1
    assert "has the ports 1000 to 2000, and --listen-fds needs single ones" in result.stderr


def test_launcher_in_a_launcher_is_refused_with_the_remedy(world, daemon):
    d = daemon(CONFIG)
    result = run_once(world, d, paths.CLI, "run", "a", "--control", d.control, "--", "true")
    assert result.returncode == 1
    assert "under another program's seccomp notifier already" in result.stderr
    assert "--listen-fds" in result.stderr


@pytest.mark.skipif(b"__asan_init" in paths.CLI.read_bytes() if paths.CLI.exists() else False,
                    reason="AddressSanitizer takes memory of its own")
def test_launcher_stays_small(world, daemon, service):
    d = daemon(CONFIG)
    s = service(d, "a", [program("v6only"), "0"])
    s.ready(URL6)
    status = open(f"/proc/{s.process.pid}/status", encoding="ascii").read()
    assert int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) < 512
