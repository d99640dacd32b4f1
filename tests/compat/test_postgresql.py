# SPDX-License-Identifier: BSD-2-Clause
# Packages: postgresql
"""PostgreSQL: a cluster of its own, run as its user, who is allowed the service."""
import glob
import pwd
import shutil
import signal
import struct
import subprocess
import tempfile

import pytest

from compat.server import version
from compat.streams import Exchange, check_parallel, check_restart, config, ready
from support import require
from support.launch import open_to_all
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

WORDS = b"user\0tester\0database\0postgres\0\0"
STARTUP = struct.pack(">II", 8 + len(WORDS), 3 << 16) + WORDS
SESSION = Exchange(5432, STARTUP + b"X\0\0\0\4", "server_version")  # and Terminate
# While it stops and starts, PostgreSQL answers that it does: whoever comes is answered, all the same.
ANSWERED = SESSION._replace(expect="")


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return found[-1] if found else require.unmet("needs postgresql (tools/install-deps compat)")


@pytest.fixture
def cluster():
    """A data directory of the user postgres, who cannot reach pytest's."""
    owner = pwd.getpwnam("postgres")
    directory = tempfile.mkdtemp(prefix="socketbox-test-", dir="/var/tmp")
    shutil.chown(directory, owner.pw_uid, owner.pw_gid)
    subprocess.run([f"{programs()}/initdb", "-D", directory, "-A", "trust", "-U", "tester", "--no-sync", "--locale=C"],
                   check=True, capture_output=True, user="postgres", group="postgres", extra_groups=[], cwd="/")
    with open(f"{directory}/pg_hba.conf", "a", encoding="ascii") as rules:
        rules.write("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n")
    yield directory
    shutil.rmtree(directory)


def test_postgresql(world, daemon, service, row, cluster):
    command = [f"{programs()}/postgres", "-D", cluster, "-c", "listen_addresses=*", "-c", f"unix_socket_directories={cluster}"]
    d = daemon({**config("sql", 5432), "services": {"sql": {"allow": {"user": "postgres"}}}})
    open_to_all(d)
    started = service(d, "sql", ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command])
    ready(world, started, SESSION)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        seen = world.run(["psql", "-h", address, "-U", "tester", "-At", "postgres", "-c",
                          "select host(inet_client_addr()), host(inet_server_addr()), inet_server_port()"]).stdout
        assert seen.strip() == f"{client}|{address}|5432"
    check_parallel(world, SESSION, count=100, concurrency=20)
    check_restart(world, started, ANSWERED, signal.SIGINT, at_least=20)
    ready(world, started, SESSION)
    row("PostgreSQL", version(f"{programs()}/postgres", "-V"), "`inet_client_addr()`, `inet_server_addr()`, fast shutdown")
