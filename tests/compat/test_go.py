# SPDX-License-Identifier: BSD-2-Clause
# Packages: golang-go
"""A static Go program: no libc to intercept, net/http on ":80"."""
import os
import subprocess

from compat.server import check_all, version
from support import paths, require


def test_static_go(world, daemon, service, row, tmp_path):
    go = require.command("go")
    environment = dict(os.environ, CGO_ENABLED="0", HOME=str(tmp_path), GOCACHE="/var/tmp/socketbox-go-cache",
                       GO111MODULE="off", GOFLAGS="")
    program = tmp_path / "whoami"
    subprocess.run([go, "build", "-o", program, paths.EXAMPLES / "whoami.go"], check=True, env=environment)
    assert b"not a dynamic executable" in subprocess.run(
        ["ldd", program], capture_output=True, check=False).stderr
    check_all(world, daemon, service, [program, ":80"], graceful=False)
    row("Go net/http, static", version(go, "version", pattern=r"go(\d[\d.]+)"), "`CGO_ENABLED=0`")
