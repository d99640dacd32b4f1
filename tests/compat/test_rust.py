# SPDX-License-Identifier: BSD-2-Clause
# Packages: rustc
"""A Rust program with std::net: TcpListener and UdpSocket."""
import subprocess

from compat.datagrams import check_both
from compat.server import version
from support import paths, require


def test_rust(world, daemon, service, row, tmp_path):
    compiler = require.command("rustc")
    program = tmp_path / "both"
    subprocess.run([compiler, "-O", "-o", program, paths.COMPAT_PROGRAMS / "both.rs"], check=True, cwd=tmp_path)
    check_both(world, daemon, service, [program, "80"])
    row("Rust std::net", version(compiler, "--version"), "TCP and UDP on one port, 10,000 queries")
