# SPDX-License-Identifier: BSD-2-Clause
"""Requirements of tests. One that is not met skips the test, but fails it in CI ($CI is set)."""
import os
import pathlib
import shutil

import pytest

from . import paths


def unmet(reason):
    if os.environ.get("CI"):
        pytest.fail(f"not met in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def root():
    if os.geteuid() != 0:
        unmet("needs root")


def command(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not found:
        unmet(f"needs the command {name} (tools/install-deps compat)")
    return found


def unpacked(name):
    """A file of a package that tools/install-deps has unpacked, as it is seen in a Machine."""
    if not (paths.UNPACKED / name.lstrip("/")).exists():
        unmet(f"needs {name} in {paths.UNPACKED} (tools/install-deps compat)")
    return name
