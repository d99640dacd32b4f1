# SPDX-License-Identifier: BSD-2-Clause
"""The rows of docs/compatibility.md: every test that passes here is one, with what it checked."""
import os
import pathlib
import tempfile

import pytest

from support import paths
from support.machine import Machine

PAGE = paths.SOURCE / "docs" / "compatibility.md"
HEAD = """# Compatibility

Written by `make compat`: each row is a real server with its stock binary, started by `socketbox run --isolate` in an
empty network namespace (under `preload`: with libsocketbox-preload.so, fed over the "A" protocol), and tested from another
machine (a namespace) over IPv4 and IPv6. Each test checks the content, the
client's and the server's address as the server sees them, many parallel connections with none lost, and a restart
of the server under load with none refused. Rows with the delivery `open` inherit the host's sockets from `socketbox open` in an
empty namespace; their sockets are their own, and end with them. Rows with `exec` are programs that socketboxd, or `socketbox-inetd`
behind its handoff, starts for each connection in an empty namespace; in place of a restart, socketboxd reloads under load.

| server | version | delivery | also checked |
| --- | --- | --- | --- |
"""

# Started first, so that none of them is left to one processor at the end of a parallel run.
LONGEST = ("test_whole_host.py", "test_postfix.py", "test_dovecot.py", "test_exim.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture
def row(request):
    """Notes a row: row(server, version, also, delivery)."""
    def note(server, version, also="", delivery="claim"):
        request.node.user_properties.append(("row", (server, version, delivery, also)))
    return note


@pytest.fixture
def open_path():
    """A directory that a server's own user can reach. tmp_path is none: each session of pytest closes its parent to others."""
    with tempfile.TemporaryDirectory(prefix="socketbox-test-") as directory:
        os.chmod(directory, 0o755)
        yield pathlib.Path(directory)


@pytest.fixture
def machine(world):
    """Gives services their own files: machine(**options)."""
    made = []

    def make(**options):
        made.append(Machine(world.directory / f"machine{len(made)}", **options))
        return made[-1]

    yield make
    world.stop()
    for each in made:
        each.close()


class Rows:
    """Collects rows in the process that sees all reports, and writes the page if everything passed."""

    def __init__(self):
        self.rows, self.spoiled, self.files = set(), False, set()

    def pytest_runtest_logreport(self, report):
        if "tests/compat/" not in report.nodeid.replace(os.sep, "/"):
            return
        if report.outcome != "passed":
            self.spoiled = True
        if report.when == "call":
            self.files.add(report.nodeid.split("::")[0])
            self.rows.update(tuple(value) for key, value in report.user_properties if key == "row")

    def pytest_sessionfinish(self, session):
        directory = pathlib.Path(__file__).parent
        complete = len(self.files) == len(list(directory.glob("test_*.py")))
        if self.rows and complete and not self.spoiled and not session.config.option.keyword:
            lines = ["| " + " | ".join(row) + " |\n" for row in sorted(self.rows, key=lambda row: [cell.lower() for cell in row])]
            PAGE.write_text(HEAD + "".join(lines))


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Rows(), "compatibility-rows")
