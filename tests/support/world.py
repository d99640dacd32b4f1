# SPDX-License-Identifier: BSD-2-Clause
"""Two machines in two network namespaces: the host, where the daemon runs, and a client."""
import itertools
import json
import os
import pathlib
import shutil
import signal

from . import paths
from .process import Process, run, until

# What the host serves. The client is .100 and ::100.
V4, V6 = "192.0.2.1", "2001:db8::1"
CLIENT_V4, CLIENT_V6 = "192.0.2.100", "2001:db8::100"
PREFIX_V6 = "2001:db8:1::/64"  # all of it is local to the host

_numbers = itertools.count()


def _ip(*words):
    run(["ip", *words], check=True)


def _ip_in(namespace, *words):
    """Not ip -n, which cannot work where the root directory is no mount point, as in a chroot."""
    run(["nsenter", f"--net=/run/netns/{namespace}", "ip", *words], check=True)


def remove_cgroup(run_dir):
    """That of a daemon's sockets, which outlives the daemon. Some daemons see the hierarchy mounted elsewhere."""
    note = run_dir / "cgroup"
    if not note.exists():
        return
    name = pathlib.Path(note.read_text().strip()).name
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    for mount in (words[1] for words in mounts if words[2] == "cgroup2"):
        for parent, children, _ in os.walk(mount):  # what others remove meanwhile it passes over
            if name in children:
                os.rmdir(f"{parent}/{name}")


class World:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        name = f"sb{os.getpid()}x{next(_numbers)}"
        self.host, self.client = f"{name}h", f"{name}c"
        self.processes = []
        self.run_dirs = []
        for namespace in (self.host, self.client):
            _ip("netns", "add", namespace)
            _ip_in(namespace, "link", "set", "lo", "up")
        _ip("link", "add", "veth0", "netns", self.host, "type", "veth", "peer", "name", "veth0",
            "netns", self.client)
        self._address(self.host, V4 + "/24", V6 + "/64")
        self._address(self.client, CLIENT_V4 + "/24", CLIENT_V6 + "/64")
        _ip_in(self.client, "-6", "route", "add", "2001:db8::/32", "via", V6)
        _ip_in(self.client, "route", "add", "198.51.100.0/24", "via", V4)
        _ip_in(self.host, "-6", "route", "add", "local", PREFIX_V6, "dev", "lo")
        _ip_in(self.host, "route", "add", "local", "198.51.100.0/24", "dev", "lo")

    @staticmethod
    def _address(namespace, v4, v6):
        _ip_in(namespace, "addr", "add", v4, "dev", "veth0")
        _ip_in(namespace, "-6", "addr", "add", v6, "dev", "veth0", "nodad")
        _ip_in(namespace, "link", "set", "veth0", "up")

    def start(self, command, name, **options):
        """A process that ends with the world. Options are those of Process."""
        process = Process(command, self.directory / f"{name}.log", **options)
        self.processes.append(process)
        return process

    def run(self, command, netns=None, check=True, timeout=60, env=None):
        """Runs a command to its end, in the client's namespace unless another is named."""
        words = ["nsenter", f"--net=/run/netns/{netns or self.client}", *map(str, command)]
        result = run(words, timeout=timeout, env=env)
        if check and result.returncode:
            raise AssertionError(f"{command} exited {result.returncode}: {result.stderr}{result.stdout}")
        return result

    def curl(self, url, *options, check=True, timeout=10):
        """The body of a page, as the client gets it."""
        return self.run(["curl", "-sS", "-g", "--noproxy", "*", "-m", timeout, *options, url], check=check).stdout

    def stop(self):
        """Ends all processes. Where sanitizers watch, daemons end by themselves, so that leaks are told."""
        for process in reversed(self.processes):
            crashes = "socketboxd" in str(process.command) and not paths.SANITIZED
            process.stop(signal.SIGKILL if crashes else signal.SIGTERM)

    def diagnostics(self):
        """What sanitizers have found in the processes that have ended."""
        return [log[log.find(mark) - 200:][:8000] for log in (process.log() for process in self.processes)
                for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:") if mark in log]

    def close(self):
        self.stop()
        for run_dir in self.run_dirs:
            remove_cgroup(run_dir)
            while run(["umount", "-l", run_dir / "bpf"]).returncode == 0:
                pass
            shutil.rmtree(run_dir, ignore_errors=True)
        for namespace in (self.host, self.client):
            run(["ip", "netns", "del", namespace])


class Daemon:
    """socketboxd in the host's namespace."""

    def __init__(self, world, config, name="daemon", run_dir=None, wait=True, options=(), prefix=(),
                 program=paths.DAEMON):
        self.world, self.name, self.program = world, name, program
        self.run_dir = pathlib.Path(run_dir or world.directory / f"{name}.run")
        self.config = world.directory / f"{name}.yaml"
        self.control = self.run_dir / "control.sock"
        self.options, self.prefix = options, prefix
        world.run_dirs.append(self.run_dir)
        self.write(config)
        self.start(wait)

    def write(self, config):
        """Writes the configuration: YAML, or the same as lists and dictionaries."""
        self.config.write_text(config if isinstance(config, str) else json.dumps(config))

    def start(self, wait=True, **options):
        """The options are those of Process."""
        self.process = self.world.start(
            [*self.prefix, self.program, "--config", self.config, "--run-dir", self.run_dir, *self.options],
            self.name, netns=self.world.host, **options)
        if wait:
            until(self.answers, timeout=60, what=f"{self.name} answers")

    def answers(self):
        if not self.process.running():
            raise AssertionError(f"socketboxd ended: {self.process.log()}")
        return self.cli("status", check=False).returncode == 0

    def cli(self, *words, check=True):
        """socketbox VERB WORDS, asked of this daemon."""
        result = run([paths.CLI, words[0], "--control", self.control, *words[1:]])
        if check and result.returncode:
            raise AssertionError(f"socketbox {words} exited {result.returncode}: {result.stderr}")
        return result

    def status(self):
        return json.loads(self.cli("status", "--json").stdout)

    def claims(self, service):
        return next(s["claims"] for s in self.status()["services"] if s["name"] == service)

    def explain(self, *words):
        return json.loads(self.cli("explain", "--json", *words).stdout)

    def reload(self, config=None, check=True):
        if config is not None:
            self.write(config)
        return self.cli("reload", check=check)

    def upgrade(self):
        """SIGUSR2, until the next program answers in the same process."""
        def counts():
            return self.process.log().count("becoming"), self.process.log().count(": engine ")
        became, started = counts()
        self.process.send(signal.SIGUSR2)
        until(lambda: counts()[0] > became, timeout=60, what="the upgrade")
        until(lambda: counts()[1] > started and self.answers(), timeout=60, what="the new daemon answers")

    def kill(self):
        """As a crash does."""
        self.process.stop(signal.SIGKILL)

    def restart(self):
        self.kill()
        self.start()


class Service:
    """A program under `socketbox run`."""

    def __init__(self, world, daemon, service, command, *options, name=None, isolate=True, prefix=(), env=None,
                 group=False):
        self.world, self.daemon, self.group = world, daemon, group
        self.name = name or service
        self.words = [*prefix, paths.CLI, "run", service, "--control", daemon.control,
                      *(["--isolate"] if isolate else []), *options, "--", *command]
        self.env = dict(os.environ, **(env or {}))
        self.start()

    def start(self):
        self.process = self.world.start(self.words, f"service-{self.name}", env=self.env, netns=self.world.host,
                                        group=self.group)

    def stop(self, number=signal.SIGTERM, timeout=30):
        return self.process.stop(number, timeout)

    def restart(self, number=signal.SIGTERM):
        self.stop(number)
        self.start()

    def log(self):
        return self.process.log()

    @property
    def program(self):
        """The program's pid; its parent is the launcher."""
        pid = self.process.pid
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def ready(self, url, timeout=30):
        """Waits until the client gets an answer from the URL."""
        def answers():
            if not self.process.running():
                raise AssertionError(f"{self.name} ended with {self.process.popen.returncode}: {self.log()}")
            return self.world.curl(url, "-k", check=False)
        return until(answers, timeout, f"{self.name} answers on {url} ({self.log()})")
