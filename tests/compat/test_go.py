# SPDX-License-Identifier: BSD-2-Clause
# Packages: golang-go
"""A static Go program: no libc to intercept, net/http on ":80"."""
import os
import subprocess

from compat.datagrams import check_both
from compat.server import check_all, version
from support import paths, require


def build(source, directory):
    """The static program."""
    environment = dict(os.environ, CGO_ENABLED="0", HOME=str(directory), GOCACHE="/var/tmp/socketbox-go-cache",
                       GO111MODULE="off", GOFLAGS="", GOPATH="/usr/share/gocode")
    program = directory / source.stem
    subprocess.run([require.command("go"), "build", "-o", program, source], check=True, env=environment)
    assert b"not a dynamic executable" in subprocess.run(
        ["ldd", program], capture_output=True, check=False).stderr
    return program


def test_static_go(world, daemon, service, row, tmp_path):
    go = require.command("go")
    program = build(paths.EXAMPLES / "whoami.go", tmp_path)
    check_all(world, daemon, service, [program, ":80"], graceful=False)
    row("Go net/http, static", version(go, "version", pattern=r"go(\d[\d.]+)"), "`CGO_ENABLED=0`")


def test_static_go_with_udp(world, daemon, service, row, tmp_path):
    go = require.command("go")
    check_both(world, daemon, service, [build(paths.COMPAT_PROGRAMS / "both.go", tmp_path), "80"])
    row("Go net, static", version(go, "version", pattern=r"go(\d[\d.]+)"), "TCP and UDP on one port, 10,000 queries")
