# SPDX-License-Identifier: BSD-2-Clause
"""Tests under both engines: a file says `pytestmark = pytest.mark.both_engines`, and marks those of its tests that
are of one engine only with `kernel_engine` or `user_engine`, and the reason."""


def pytest_generate_tests(metafunc):
    if not metafunc.definition.get_closest_marker("both_engines"):
        return
    if metafunc.definition.get_closest_marker("kernel_engine"):
        engines = ["kernel"]
    elif metafunc.definition.get_closest_marker("user_engine"):
        engines = ["user"]
    else:
        engines = ["kernel", "user"]
    if "daemon" in metafunc.fixturenames:
        metafunc.parametrize("engine", engines)
