# SPDX-License-Identifier: BSD-2-Clause
"""Tests under both engines: a file says `pytestmark = pytest.mark.both_engines`, and marks those of its tests that
are of one engine only with `kernel_engine` or `user_engine`, and the reason."""
import pytest

from support.inetd import Inetd, remove_cgroup
from support.process import until


def pytest_generate_tests(metafunc):
    if not metafunc.definition.get_closest_marker("both_engines"):
        return
    if metafunc.definition.get_closest_marker("kernel_engine"):
        engines = ["kernel"]
    elif metafunc.definition.get_closest_marker("user_engine"):
        engines = ["user"]
    else:
        engines = ["kernel", "user"]
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines)


@pytest.fixture
def inetd(tmp_path):
    """Starts receivers: inetd(*command, options=(...))."""
    made = []

    def start(*command, **options):
        made.append(Inetd(tmp_path, *command, name=f"inetd{len(made)}", **options))
        return made[-1]
    yield start
    for receiver in made:
        receiver.stop()
        pid = receiver.process.pid
        until(lambda: remove_cgroup(pid), what="programs that live on have ended")
