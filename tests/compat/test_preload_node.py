# SPDX-License-Identifier: BSD-2-Clause
# Packages: nodejs
"""Node.js under the preload library: no bogus EADDRINUSE, and server.address() is what was asked for."""
import pytest

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import version
from support import require
from support.world import V6

ANSWER = "(q, r) => r.end(`client=${q.socket.remoteAddress} server=${q.socket.localAddress}\\n`)"
SERVE = f"const s = require('http').createServer({ANSWER}); s.on('error', e => console.log('error', e.code));"
TELL = "() => console.log('address', s.address().address, s.address().port, s.address().family)"

SCRIPTS = {
    "listen(port)": (f"{SERVE} s.listen(80, {TELL})", "address :: 80 IPv6"),
    "listen(port, host)": (f"{SERVE} s.listen(80, '{V6}', {TELL})", f"address {V6} 80 IPv6"),
    "cluster": (f"""
        const cluster = require('cluster');
        if (cluster.isPrimary) {{
          for (let i = 0; i < 3; i++) cluster.fork();
          process.on('SIGTERM', () => process.exit(0));
        }} else {{ {SERVE} s.listen(80, '::', {TELL}) }}""", "address :: 80 IPv6"),
    "cluster, shared": (f"""
        const cluster = require('cluster');
        cluster.schedulingPolicy = cluster.SCHED_NONE;
        if (cluster.isPrimary) {{
          for (let i = 0; i < 3; i++) cluster.fork();
          process.on('SIGTERM', () => process.exit(0));
        }} else {{ {SERVE} s.listen(80, '::', {TELL}) }}""", "address :: 80 IPv6"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_node(world, preloaded, row, tmp_path, name):  # noqa: F811
    node = require.command("node")
    script, address = SCRIPTS[name]
    (tmp_path / "server.js").write_text(script)
    server = preloaded()
    check_all(world, server, [node, tmp_path / "server.js"])
    assert address in server.log()
    assert "error" not in server.log()
    row(f"Node.js {name}", version(node, "--version"), "`server.address()` right", "preload")
