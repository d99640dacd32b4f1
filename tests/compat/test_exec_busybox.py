# SPDX-License-Identifier: BSD-2-Clause
# Packages: busybox
"""Busybox's httpd -i, started for each connection: a file, and a CGI script."""
from compat.executed import Executed, check_descriptors, check_reload
from compat.server import check_page, version
from compat.streams import Exchange, check_parallel
from support import require

SCRIPT = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\nclient=%s server=%s\\n' "$REMOTE_ADDR" "$TCPLOCALIP"
"""
PAGE = Exchange(80, "GET /page HTTP/1.0\r\n\r\n", "the page of the test")


def test_httpd(world, daemon, row, open_path):
    busybox = require.command("busybox")
    (open_path / "page").write_text(PAGE.expect)
    script = open_path / "cgi-bin" / "index.cgi"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(0o755)
    started = Executed(world, daemon, 80, [busybox, "httpd", "-i", "-h", open_path], user="nobody", log="failures")
    check_page(world, started)
    check_descriptors(world, started, 80)
    check_parallel(world, PAGE)
    check_reload(world, started, PAGE)
    row("Busybox `httpd -i`", version(busybox, pattern=r"BusyBox v(\S+)"),
        "CGI with both addresses, as user nobody, reload of the daemon under load", "exec")
