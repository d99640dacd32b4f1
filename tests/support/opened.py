# SPDX-License-Identifier: BSD-2-Clause
"""`socketbox open` and what a program (observe.py) sees of it."""
import json
import os
import pathlib
import subprocess

from . import paths
from .launch import NOBODY, OWN_ROOT
from .process import until

OBSERVE = paths.SOURCE / "tests" / "support" / "observe.py"
PYTHON = "/usr/bin/python3"


def run(*words, prefix=(), env=None, cli=paths.CLI, **options):
    """socketbox WORDS, to its end."""
    return subprocess.run([*map(str, prefix), cli, *map(str, words)], capture_output=True, text=True, timeout=60,
                          check=False, env=dict(os.environ, **(env or {})), **options)


def observed(*words, observer=OBSERVE, **options):
    """What a program finds that `socketbox open WORDS` has started."""
    result = run("open", *words, "--", PYTHON, observer, **options)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def sockets(*words, **options):
    """Its descriptors alone, in order."""
    return list(observed(*words, **options)["fds"].values())


def refused(*words, status=1, **options):
    """What it says when it does not start the program."""
    result = run("open", *words, "--", "echo", "started", **options)
    assert (result.returncode, result.stdout) == (status, ""), result
    assert result.stderr.startswith("socketbox open: ")
    return result.stderr


def netns_number(netns):
    return os.stat(f"/run/netns/{netns}").st_ino


class OwnNamespaces:
    """A sleeping program of a user's in user and network namespaces that the user made, without lo."""

    def __init__(self, world, user=NOBODY):
        self.process = world.start([*OWN_ROOT, *user, "unshare", "--user", "--map-root-user", "--net", "sleep", "600"],
                                   "own-namespaces")
        self.pid = self.process.pid
        until(lambda: pathlib.Path(f"/proc/{self.pid}/comm").read_text().strip() == "sleep",
              60, what=f"namespaces ({self.process.log()})")
        self.netns = os.stat(f"/proc/{self.pid}/ns/net").st_ino
