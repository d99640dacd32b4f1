# SPDX-License-Identifier: BSD-2-Clause
# Packages: redis-server redis-tools
"""Redis: on the wildcard of both families."""
from compat.server import version
from compat.streams import Exchange, check_parallel, check_restart, config, ready
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

PING = Exchange(6379, "PING\r\nQUIT\r\n", "+PONG")


def test_redis(world, daemon, service, row, tmp_path):
    redis = require.command("redis-server")
    (tmp_path / "redis.conf").write_text(f'bind * -::*\nprotected-mode no\ndir {tmp_path}\nsave ""\n')
    started = service(daemon(config("redis", 6379)), "redis", [redis, tmp_path / "redis.conf"])
    ready(world, started, PING)
    for address, client, written in (V4, CLIENT_V4, V4), (V6, f"[{CLIENT_V6}]", f"[{V6}]"):
        def cli(*words):
            return world.run(["redis-cli", "-h", address, *words]).stdout.strip()
        assert cli("SET", "greeting", f"hello {address}") == "OK"
        assert cli("GET", "greeting") == f"hello {address}"
        clients = cli("CLIENT", "LIST")
        assert f" addr={client}:" in clients and f" laddr={written}:6379 " in clients
    check_parallel(world, PING)
    check_restart(world, started, PING)
    row("Redis", version(redis, "--version"), "`bind * -::*`, addresses in `CLIENT LIST`")
