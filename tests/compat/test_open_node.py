# SPDX-License-Identifier: BSD-2-Clause
# Packages: nodejs
"""Node.js: server.listen({fd}) with the number from the environment."""
from compat.opened import WAYS, check_web, started, web
from compat.server import version
from support import require

NUMBER = {"open": "SOCKETBOX_FD_0", "ctrtool": "CTRTOOL_NS_OPEN_FILE_FD_0"}


@WAYS
def test_node_listen_fd(world, row, tmp_path, way):
    node = require.command("node")
    (tmp_path / "server.js").write_text(
        "require('http').createServer((q, r) => r.end(`client=${q.socket.remoteAddress} server=${q.socket.localAddress}\\n`))"
        f".listen({{fd: +process.env.{NUMBER[way]}}})")
    check_web(world, started(world, web(world, way), [node, tmp_path / "server.js"]))
    row("Node.js listen({fd})", version(node, "--version"), "as `ctrtool ns_open_file`, too", "open")
