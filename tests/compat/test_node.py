# SPDX-License-Identifier: BSD-2-Clause
# Packages: nodejs
"""Node.js: a host, a passed descriptor, cluster workers, and server.address()."""
import json
import re
import signal

import pytest

from compat.server import check_all, check_reload, version
from support import require
from support.world import V4, V6

SERVER = """
const server = () => {
  const made = require('http').createServer((q, r) => r.end(
    `client=${q.socket.remoteAddress} server=${q.socket.localAddress} listener=${JSON.stringify(made.address())}\\n`));
  return made;
};
"""

SCRIPTS = {
    "listen(port)": "server().listen(80)",
    "listen(port, host)": f"for (const host of ['{V4}', '{V6}']) server().listen(80, host)",
    "listen({fd})": "server().listen({fd: 3})",
}

# SIGUSR2 replaces the workers.
CLUSTER = """
const cluster = require('cluster');
if (cluster.isPrimary) {
  if (process.env.SHARED) cluster.schedulingPolicy = cluster.SCHED_NONE;
  for (let i = 0; i < 3; i++) cluster.fork();
  process.on('SIGUSR2', () => {
    for (const old of Object.values(cluster.workers)) cluster.fork().once('listening', () => old.disconnect());
  });
  process.on('SIGTERM', () => process.exit(0));
} else LISTEN;
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_node(world, daemon, service, row, tmp_path, name):
    node = require.command("node")
    (tmp_path / "server.js").write_text(SERVER + SCRIPTS[name])
    check_all(world, daemon, service, [node, tmp_path / "server.js"], graceful=False,
              run=["--listen-fds"] if "fd" in name else [])
    check_listeners(world, "host" in name)
    row(f"Node.js {name}", version(node, "--version"),
        {"listen(port, host)": "`server.address()`", "listen({fd})": "`--listen-fds`"}.get(name, ""))


def check_listeners(world, specific):
    """server.address() is where the program listens; where that is everywhere, only its port says something."""
    for address, url in ((V4, f"http://{V4}/"), (V6, f"http://[{V6}]/")):
        found = json.loads(re.search(r"listener=(\{.*\})", world.curl(url)).group(1))
        assert found["port"] == 80
        if specific:
            assert found == {"address": address, "family": "IPv6" if ":" in address else "IPv4", "port": 80}


@pytest.mark.parametrize("name,script,specific,shared", [
    ("cluster", "server().listen(80)", False, False),
    ("cluster, hosts", SCRIPTS["listen(port, host)"], True, False),
    ("cluster, shared handle", SCRIPTS["listen(port, host)"], True, True),
], ids=["all", "hosts", "shared"])
def test_node_cluster(world, daemon, service, row, tmp_path, name, script, specific, shared):
    node = require.command("node")
    (tmp_path / "server.js").write_text(SERVER + CLUSTER.replace("LISTEN", script))
    started = check_all(world, daemon, service, [node, tmp_path / "server.js"], graceful=False,
                        env={"SHARED": "1"} if shared else {})
    check_listeners(world, specific)
    check_reload(world, lambda: started.process.send(signal.SIGUSR2))
    assert "EADDRINUSE" not in started.log()
    row(f"Node.js {name}", version(node, "--version"),
        "workers replaced under load, no EADDRINUSE" + (", `server.address()`" if specific else ""))
