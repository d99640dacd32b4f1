# SPDX-License-Identifier: BSD-2-Clause
# Packages: nodejs
"""Node.js: a host, cluster workers, and server.address()."""
import pytest

from compat.server import check_all, version
from support import require
from support.world import V4, V6

ANSWER = "(q, r) => r.end(`client=${q.socket.remoteAddress} server=${q.socket.localAddress}\\n`)"

SCRIPTS = {
    "listen(port)": f"require('http').createServer({ANSWER}).listen(80)",
    "listen(port, host)": f"""
        for (const host of ['{V4}', '{V6}']) require('http').createServer({ANSWER}).listen(80, host)""",
    "cluster": f"""
        const cluster = require('cluster');
        if (cluster.isPrimary) {{
          for (let i = 0; i < 3; i++) cluster.fork();
          process.on('SIGTERM', () => process.exit(0));
        }} else require('http').createServer({ANSWER}).listen(80)""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_node(world, daemon, service, row, tmp_path, name):
    node = require.command("node")
    (tmp_path / "server.js").write_text(SCRIPTS[name])
    check_all(world, daemon, service, [node, tmp_path / "server.js"], graceful=False)
    row(f"Node.js {name}", version(node, "--version"))
