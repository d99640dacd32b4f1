# SPDX-License-Identifier: BSD-2-Clause
"""`socketbox run` with the small programs of tests/integration/programs."""
import os
import shutil
import subprocess

from . import paths

OWN_ROOT = ("/usr/bin/python3", paths.SOURCE / "tests" / "support" / "own_root.py")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def program(name):
    return paths.PROGRAMS / name


def run_once(world, daemon, *words, options=(), env=None, prefix=(), cli=paths.CLI):
    """Runs a program under the launcher, as service a, to its end."""
    return subprocess.run(
        ["nsenter", f"--net=/run/netns/{world.host}", *prefix, cli, "run", "a", "--control", daemon.control,
         *options, "--", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ, **(env or {})))


def open_to_all(daemon):
    """Lets every user reach the control socket, which is in a directory of pytest's."""
    for directory in [daemon.run_dir, *daemon.run_dir.parents]:
        if directory.stat().st_uid == os.getuid() and str(directory).startswith("/tmp/"):
            os.chmod(directory, directory.stat().st_mode | 0o011)


class Copies:
    """Copies of programs where any user can execute them and setuid counts; a context."""

    def __init__(self, *sources):
        self.paths = [f"/var/tmp/socketbox-test-{os.getpid()}-{id(self):x}-{source.name}" for source in sources]
        for source, path in zip(sources, self.paths):
            shutil.copy(source, path)

    def __enter__(self):
        return self.paths

    def __exit__(self, *_):
        for path in self.paths:
            os.unlink(path)
