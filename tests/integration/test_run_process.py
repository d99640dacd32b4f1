# SPDX-License-Identifier: BSD-2-Clause
"""socketbox run: the launcher as a process: options, signals, terminal, waiting."""
import os
import pty
import signal
import subprocess
import time

import pytest

from support import paths
from support.launch import NOBODY, Copies, open_to_all, program, run_once
from support.process import until
from support.world import V4, V6

CONFIG = {"services": {"a": {"allow": {"user": ["nobody"]}}},
          "routes": [{"to": [V4, V6], "port": 8080, "service": "a"}]}


@pytest.mark.parametrize("words,message", [
    (["a", "--isolated", "--", "true"], "unknown option '--isolated'"),
    (["a", "--isolate", "--address"], "a value for '--address' is missing"),
    (["a", "--isolate", "--address", "fe80::%lo", "--", "true"], "'fe80::%lo' is not an IP address"),
    (["a", "--address", V4, "--", "true"], "--address and --no-addresses go with --isolate"),
    (["--isolate", "--", "true"], "a service is missing"),
    (["a", "--"], "a program is missing"),
    (["a", "--trace", "--listen-fds", "--", "true"], "--trace, --listen-fds and --preload do not go together"),
])
def test_wrong_options(words, message):
    result = subprocess.run([paths.CLI, "run", *words], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"socketbox run: {message}" in result.stderr
    assert "usage: socketbox run" in result.stderr


def test_a_program_that_exits_with_2_did_not_misuse_the_launcher():
    result = subprocess.run([paths.CLI, "run", "--trace", "--", "sh", "-c", "exit 2"],
                            capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "")


@pytest.mark.parametrize("before", [[], ["a"]])
def test_trace_needs_no_service_but_may_have_one(before):
    result = subprocess.run([paths.CLI, "run", "--trace", *before, "--", "sh", "-c", "exit 3"],
                            capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (3, "# The program bound nothing that a route could serve.\n")


def test_trace_ends_with_the_configuration_when_interrupted(world):
    script = "import signal, socket; s = socket.create_server(('', 8080)); print('up', flush=True); signal.pause()"
    process = world.start([paths.CLI, "run", "--trace", "--", "/usr/bin/python3", "-c", script], "trace",
                          netns=world.host)
    until(lambda: "up" in process.log())
    process.send(signal.SIGINT)
    process.wait()
    assert 'port: 8080, service: python3}' in process.log()


def test_program_starts_with_the_signal_state_of_the_caller(world, daemon):
    show = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"]
    start = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]);" \
            "signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    prefix = ["/usr/bin/python3", "-c", start]
    native = subprocess.run([*prefix, *show], capture_output=True, text=True, check=True)
    assert run_once(world, daemon(CONFIG), *show, prefix=prefix).stdout == native.stdout


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGABRT, signal.SIGWINCH, signal.SIGRTMIN + 3])
def test_every_signal_reaches_the_program(world, daemon, service, number):
    script = ("import os, signal, sys;"
              f"signal.signal({int(number)}, lambda n, f: os._exit(n)); print('up', flush=True);"
              "[signal.pause() for _ in range(9)]")
    s = service(daemon(CONFIG), "a", ["/usr/bin/python3", "-c", script])
    until(lambda: "up" in s.log())
    s.process.send(number)
    assert s.process.wait() == number


def test_interrupt_at_the_terminal_reaches_the_program_once(world, daemon):
    d = daemon(CONFIG)
    script = ("import signal, sys, time; got = []; signal.signal(signal.SIGINT, lambda n, f: got.append(n));"
              "print('ready', flush=True); time.sleep(1); sys.exit(len(got))")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(str(paths.CLI), [str(paths.CLI), "run", "a", "--control", str(d.control), "--",
                                  "/usr/bin/python3", "-c", script])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 100)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1


def test_signals_pass_while_a_bind_waits_for_the_daemon(world, daemon, service):
    d = daemon(CONFIG)
    s = service(d, "a", ["sh", "-c", f"echo up; sleep 1; exec {program('v6only')} 0"])
    until(lambda: "up" in s.log())
    d.kill()
    time.sleep(1.5)
    s.process.send(signal.SIGTERM)
    assert s.process.wait() == -signal.SIGTERM


def test_no_new_privs_for_an_ordinary_user(world, daemon):
    d = daemon(CONFIG)
    open_to_all(d)
    with Copies(paths.CLI, program("show_privileges")) as (cli, show):
        os.chmod(show, 0o4755)
        result = run_once(world, d, show, prefix=NOBODY, cli=cli)
    assert result.stdout == "no_new_privs 1 euid 65534\n", result.stderr


def test_launcher_whose_stderr_is_closed_lives_on(world, daemon):
    """A warning that cannot be written must not stop the program, nor reach it as SIGPIPE."""
    d = daemon(CONFIG)
    script = ("import signal, socket, time; signal.signal(signal.SIGPIPE, signal.SIG_DFL);"
              "[socket.create_server(('', port)) for port in (9001, 9002)]; time.sleep(0.2); print('alive')")
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        ["nsenter", f"--net=/run/netns/{world.host}", paths.CLI, "run", "a", "--control", d.control, "--isolate",
         "--", "/usr/bin/python3", "-c", script], stdout=subprocess.PIPE, stderr=write, timeout=30, check=False)
    os.close(write)
    assert (result.returncode, result.stdout) == (0, b"alive\n")
