# SPDX-License-Identifier: BSD-2-Clause
# Packages: git
"""git daemon --inetd, started for each connection: clones, and a push."""
import os
import subprocess

from compat.executed import Executed, check_descriptors, check_reload
from compat.server import version
from compat.streams import Exchange, check_parallel
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6


def packet(text):
    """As git's protocol frames it."""
    return f"{len(text) + 4:04x}{text}".encode()


# What there is; then nothing is wanted.
REFS = Exchange(9418, packet("git-upload-pack /site.git\0host=server\0") + b"0000", "refs/heads/main")
NAMES = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
         "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
HOOK = """#!/bin/sh
echo "$1 client=$REMOTE_ADDR server=$TCPLOCALIP" >>{log}
"""


def test_git(world, daemon, row, tmp_path):
    git = require.command("git")
    env = dict(os.environ, **NAMES)
    bare, hook, log = tmp_path / "base" / "site.git", tmp_path / "hook", tmp_path / "accesses"
    work = tmp_path / "work"

    def run(*words):
        return subprocess.run([git, *map(str, words)], env=env, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "--bare", "-b", "main", bare)
    run("init", "-q", "-b", "main", work)
    (work / "data").write_bytes(os.urandom(500000))
    run("-C", work, "add", "data")
    run("-C", work, "commit", "-q", "-m", "one")
    run("-C", work, "push", "-q", bare, "main")
    hook.write_text(HOOK.format(log=log))
    hook.chmod(0o755)
    started = Executed(world, daemon, 9418, [
        git, "daemon", "--inetd", "--export-all", "--enable=receive-pack", "--verbose", "--log-destination=stderr",
        f"--access-hook={hook}", f"--base-path={tmp_path}/base"], env={"HOME": str(tmp_path)})
    for number, (address, client) in enumerate(((V4, CLIENT_V4), (V6, CLIENT_V6))):
        clone = tmp_path / f"clone{number}"
        url = f"git://[{address}]/site.git" if ":" in address else f"git://{address}/site.git"
        world.run([git, "clone", "-q", url, clone], env=env, timeout=60)
        assert (clone / "data").read_bytes() == (work / "data").read_bytes()
        world.run([git, "-C", clone, "commit", "-q", "--allow-empty", "-m", f"by {number}"], env=env)
        world.run([git, "-C", clone, "push", "-q", "origin", "main"], env=env, timeout=60)
        assert run("-C", bare, "log", "-1", "--format=%s") == f"by {number}"
        for service in "upload-pack", "receive-pack":
            assert f"{service} client={client} server={address}" in log.read_text()
        assert f"Connection from {client}:" in started.log()
    check_descriptors(world, started, 9418)
    check_parallel(world, REFS, count=200, concurrency=20)
    check_reload(world, started, REFS)
    row("git daemon, by inetd", version(git, "--version"), "clones and pushes, reload of the daemon under load", "exec")
