# SPDX-License-Identifier: BSD-2-Clause
"""`socketbox top`: rates as plain text, and on a terminal."""
import os
import re
import signal
import subprocess
import time

import pytest

from support import paths
from support.control import Control
from support.load import Load
from support.process import run, until
from support.terminal import OTHER_PAGE, USUAL_PAGE, Terminal
from support.traffic import connect
from support.world import V4, V6

pytestmark = pytest.mark.both_engines


def config(path, more=()):
    """Service a is handed over, for b programs start, c is claimed."""
    return {"services": {"a": {"handoff": {"path": str(path)}}, "b": {"exec": {"command": ["/bin/cat"], "instances": 2}},
                         "c": {}},
            "routes": [{"to": [V4, V6], "port": 80 + i, "service": name} for i, name in enumerate("abc")] + list(more)}


@pytest.fixture
def served(world, daemon):
    path = world.directory / "a.sock"
    world.start([paths.RECEIVER, path, "a"], "receiver")
    started = daemon(config(path))
    until(path.exists, what="the receiver binds")
    return started


@pytest.fixture
def terminal():
    """Starts top on a terminal: terminal(daemon, *options)."""
    made = []

    def start(daemon, *options, **size):
        made.append(Terminal([paths.CLI, "top", "--control", daemon.control, "--interval", "100ms", *options], **size))
        return made[-1]
    yield start
    for one in made:
        one.close()


def pages(text):
    return re.split(r"\n\n(?=socketboxd )", text.rstrip("\n"))


def services(page):
    """The rows of services, by name, in their order: {name: {heading: text}}."""
    _, rows, _ = page.split("\n\n")
    heading, *rows = rows.splitlines()
    names = heading.replace("IN HAND", "IN_HAND").split()
    return {row.split()[7]: dict(zip(names, row.split())) for row in rows}


def routes(page):
    """Rates, no_socket and text of each route."""
    rows = page.split("\n\n")[2].splitlines()[1:]
    return [(float(decided), float(no_socket), text) for decided, no_socket, _, text in (row.split(None, 3) for row in rows)]


def decided(daemon):
    return sum(route["lookups"] for route in daemon.status()["routes"])


def test_batch_shows_the_rate_of_a_load(world, served):
    load = Load(world, V6, seconds=120, concurrency=4, expect="a", pause=10)
    until(lambda: decided(served) > 10)
    before, started = decided(served), time.monotonic()
    shown = pages(served.cli("top", "--batch", "3", "--interval", "1s").stdout)
    seconds = time.monotonic() - started
    rate = (decided(served) - before) / seconds
    load.stop()
    load.result()
    assert len(shown) == 3
    assert 2.9 < seconds < 10
    for page in shown:
        assert list(services(page))[0] == "a", "the busiest is first"
        assert float(services(page)["b"]["NEW/S"]) == 0
        assert routes(page)[0][0] == float(services(page)["a"]["NEW/S"])
        assert "port: 80" in routes(page)[0][2]
    rates = [float(services(page)["a"]["NEW/S"]) for page in shown]
    assert sum(rates) / 3 == pytest.approx(rate, rel=0.3), (rates, rate)


def test_no_socket_connections(world, served, engine):
    port = 82 if engine == "kernel" else 80  # nobody has claimed it; without BPF only what is accepted is seen
    if engine == "user":
        served.cli("drain", "a")
    load = Load(world, V4, port=port, seconds=120, concurrency=2, pause=20)
    until(lambda: decided(served) > 10)
    [page] = pages(served.cli("top", "--once").stdout)
    load.stop()
    load.result()
    row = services(page)["c" if engine == "kernel" else "a"]
    assert float(row["NO_SOCKET/S"]) == float(row["NEW/S"]) > 5
    assert f"{float(row['NO_SOCKET/S'])} without a socket/s" in page
    assert ("1 being drained" in page) == ("(being drained)" in page) == (engine == "user")


def test_what_waits_and_what_runs(world, served):
    held = [Control(served, "c") for _ in range(2)]
    for control in held:
        control.claim("::", 82)
    waiting = [connect(world, V6, 82) for _ in range(3)] + [connect(world, V6, 81) for _ in range(5)]

    def page():
        return services(served.cli("top", "--once", "--interval", "100ms").stdout)
    until(lambda: page()["b"]["PROGRAMS"] == "2", what="two programs run")
    rows = page()
    assert (rows["c"]["BACKLOG"], rows["c"]["CLAIMANTS"], rows["c"]["DELIVERY"]) == ("3", "1", "claim")
    assert int(rows["b"]["BACKLOG"]) + int(rows["b"]["IN_HAND"]) == 3
    assert rows["a"] == {"NEW/S": "0.0", "NO_SOCKET/S": "0.0", "BACKLOG": "0", "IN_HAND": "0", "PROGRAMS": "0",
                         "CLAIMANTS": "0", "DELIVERY": "handoff", "SERVICE": "a"}
    for connection in waiting:
        connection.close()


def test_pages_without_end_where_nothing_is_a_terminal(served):
    top = subprocess.Popen([paths.CLI, "top", "--control", served.control, "--interval", "100ms"], text=True,
                           stdout=subprocess.PIPE)
    heads = [line for line, _ in zip((line for line in top.stdout if line.startswith("socketboxd ")), range(5))]
    assert len(heads) == 5 and top.poll() is None
    top.stdout.close()
    assert top.wait(10) == -signal.SIGPIPE


def test_batch_goes_on_when_the_daemon_restarts(world, served):
    top = world.start([paths.CLI, "top", "--control", served.control, "--interval", "100ms", "--batch", "100000"], "top")
    until(lambda: "NEW/S" in top.log())
    served.kill()
    until(lambda: "socketbox top: socketboxd does not answer on" in top.log())
    served.start()
    seen = len(pages(top.log()))
    until(lambda: len(pages(top.log())) > seen + 3)
    assert top.running()


@pytest.mark.parametrize("words,text", [
    (["--interval", "soon"], "'soon'"), (["--interval", "5ms"], "too short"), (["--batch", "0"], "'0'"),
    (["--batch"], "value is missing"), (["web"], "unexpected argument 'web'")])
def test_wrong_usage(served, words, text):
    result = served.cli("top", *words, check=False)
    assert result.returncode == 2 and text in result.stderr and "usage: socketbox top" in result.stderr


def test_without_a_daemon(world, engine):
    result = run([paths.CLI, "top", "--once", "--control", world.directory / "none.sock"])
    assert result.returncode == 1 and "socketboxd does not answer" in result.stderr


def test_q_ends_it_and_restores_the_terminal(served, terminal, engine):
    shown = terminal(served)
    until(lambda: len(shown.pages()) > 3, what="it looks again by itself")
    lines = shown.lines()
    assert f"engine {engine}" in lines[0]
    assert "NEW/S" in lines[3] and lines[4].split()[-1] == "a"
    assert lines[-1].startswith("q quit")
    assert not shown.echoes() and OTHER_PAGE in shown.output
    shown.type(b"q")
    assert shown.popen.wait(10) == 0
    assert shown.settings() == shown.before
    until(lambda: shown.output.endswith(USUAL_PAGE))
    assert b"\x1b[?25h" in shown.output


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, b"\x03"], ids=str)
def test_signals_end_it_and_restore_the_terminal(served, terminal, how):
    shown = terminal(served)
    until(lambda: len(shown.pages()) > 2)
    if isinstance(how, bytes):
        shown.type(how)
    else:
        shown.popen.send_signal(how)
    assert shown.popen.wait(10) == -(signal.SIGINT if isinstance(how, bytes) else how)
    assert shown.settings() == shown.before
    until(lambda: shown.output.endswith(USUAL_PAGE))


def test_it_stops_and_goes_on(served):
    """The shell gets its terminal back meanwhile."""
    script = '"$@"; echo "stopped: $(stty -a | grep -o "[-]*icanon")"; fg >/dev/null; echo "over: $?"'
    command = ["bash", "-mc", script, "bash", paths.CLI, "top", "--control", served.control, "--interval", "100ms"]
    shown = Terminal(command)
    try:
        until(lambda: len(shown.pages()) > 2)
        shown.type(b"\x1a")
        until(lambda: b"stopped: icanon" in shown.output, what=f"it stops: {shown.output[-1000:]}")
        assert USUAL_PAGE in shown.output
        shown.shows("NEW/S")
        assert not shown.echoes()
        shown.type(b"q")
        until(lambda: b"over: 0" in shown.output, what=f"it ends: {shown.output[-1000:]}")
        assert shown.popen.wait(10) == 0
        assert shown.settings() == shown.before
    finally:
        shown.close()


def test_it_fits_into_the_window(world, served, terminal):
    more = [{"to": V6, "port": 1000 + i, "service": "a"} for i in range(50)]
    served.reload(config(world.directory / "a.sock", more))
    shown = terminal(served, width=100, height=30)

    def fits(width, height):
        lines = shown.lines()
        return len(lines) <= height and max(map(len, lines)) <= width and lines
    until(lambda: len(shown.pages()) > 2)
    lines = fits(100, 30)
    assert lines and sum("port: 10" in line for line in lines) > 15
    shown.resize(50, 12)
    shown.shows("NEW/S")
    lines = fits(50, 12)
    assert lines and sum("{to: " in line for line in lines) == 3
    assert shown.lines()[-1].startswith("q quit")
    shown.resize(160, 70)
    shown.shows("NEW/S")
    assert sum("port: 10" in line for line in fits(160, 70)) == 50


def test_keys_change_the_order(world, served, terminal):
    held = Control(served, "c")
    held.claim("::", 82)
    waiting = [connect(world, V6, 82) for _ in range(3)]
    load = Load(world, V6, seconds=120, concurrency=2, expect="a", pause=20)
    shown = terminal(served)

    def first():
        return shown.lines()[4].split()[-1]
    until(lambda: len(shown.pages()) > 5 and first() == "a")
    shown.type(b"w")
    until(lambda: first() == "c", what="c has most that waits")
    shown.type(b"n")
    until(lambda: first() == "a")
    shown.type(b"w")
    until(lambda: first() == "c")
    shown.type(b"c")
    until(lambda: first() == "a")
    load.stop()
    load.result()
    for connection in waiting:
        connection.close()


def test_it_waits_for_a_daemon_that_restarts(served, terminal):
    shown = terminal(served)
    until(lambda: len(shown.pages()) > 2)
    served.kill()
    shown.shows("socketboxd does not answer on")
    served.start()
    shown.shows(f"pid {served.process.pid}")
    shown.type(b"q")
    assert shown.popen.wait(10) == 0


def test_a_terminal_that_goes_ends_it(served):
    shown = Terminal([paths.CLI, "top", "--control", served.control])
    until(lambda: len(shown.pages()) > 0)
    os.close(shown.theirs)
    os.close(shown.ours)
    assert shown.popen.wait(10) in (0, -signal.SIGHUP)
