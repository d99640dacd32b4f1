# SPDX-License-Identifier: BSD-2-Clause
# Packages: musl-tools
"""A C program linked statically with musl: another libc, and none to intercept."""
import subprocess

from compat.datagrams import check_both
from compat.server import version
from support import paths, require


def test_static_musl(world, daemon, service, row, tmp_path):
    compiler = require.command("musl-gcc")
    program = tmp_path / "both"
    subprocess.run([compiler, "-static", "-O2", "-Wall", "-o", program, paths.COMPAT_PROGRAMS / "both.c"], check=True)
    check_both(world, daemon, service, [program, "80"])
    row("C with musl, static", version("dpkg-query", "-W", "musl"), "TCP and UDP on one port, 10,000 queries")
