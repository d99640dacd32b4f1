# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of all Python tests. Each test gets a world of its own, so that tests run in parallel."""
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

pytest.register_assert_rewrite("compat", "support")

from support import paths, require  # noqa: E402
from support.world import Daemon, Service, World  # noqa: E402


# A shell's background jobs ignore SIGINT, and so would every program of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def world(tmp_path):
    require.root()
    made = World(tmp_path)
    yield made
    made.close()
    assert not paths.SANITIZED or not made.diagnostics(), "\n".join(made.diagnostics())


@pytest.fixture
def engine():
    """Which engine the daemons of a test have. The integration tests run some under both."""
    return "kernel"


@pytest.fixture
def daemon(world, engine):
    """Starts daemons: daemon(config, **options)."""
    def start(config, options=(), **more):
        return Daemon(world, config, options=["--engine", engine, *options], **more)
    return start


@pytest.fixture
def service(world):
    """Starts services: service(daemon, name, command, *options, **more)."""
    return lambda daemon, name, command, *options, **more: Service(world, daemon, name, command, *options, **more)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the test's processes have logged, where it failed."""
    report = (yield).get_result()
    world = getattr(item, "funcargs", {}).get("world")
    if call.when == "call" and report.failed and world:
        for process in world.processes:
            report.sections.append((f"log of {process.log_path.name}", process.log()[-4000:]))
