# SPDX-License-Identifier: BSD-2-Clause
"""systemd's descriptor store (FileDescriptorStoreMax=), played by the test: what the daemon stores by sd_notify(3) is
passed to the next one as LISTEN_FDS."""
import collections
import fcntl
import os
import socket
import threading

from .world import Daemon

FIRST = 400  # above what a daemon inherits them as
START = 3

Kept = collections.namedtuple("Kept", "name fd")


class FdStore:
    def __init__(self, directory):
        self.path = directory / "notify.sock"
        self.kept, self.states = [], []
        self.lock, self.synced = threading.Lock(), threading.Semaphore(0)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, 16)
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self.lock:
                self._serve_one(fields, fds)
            for fd in fds:
                os.close(fd)  # which also tells the sender of a barrier

    def _serve_one(self, fields, fds):
        name = fields.get("FDNAME", "stored")
        if "FDSTOREREMOVE" in fields:
            for kept in [kept for kept in self.kept if kept.name == name]:
                self.kept.remove(kept)
                os.close(kept.fd)
        elif "FDSTORE" in fields:
            for fd in fds:
                if not any(os.path.samestat(os.fstat(fd), os.fstat(kept.fd)) for kept in self.kept):
                    self.kept.append(Kept(name, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST)))
        elif "SYNC" in fields:
            self.synced.release()
        else:
            self.states.append(fields)

    def sync(self):
        """Until all that has been sent is read: systemd reads it before it learns that the sender has ended."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"SYNC=1", str(self.path))
        assert self.synced.acquire(timeout=60)

    def names(self, prefix=""):
        self.sync()
        with self.lock:
            return sorted(kept.name for kept in self.kept if kept.name.startswith(prefix))

    def pass_on(self):
        """The options of a Process that inherits all, and what goes in front of its command."""
        self.sync()
        with self.lock:
            kept = [Kept(name, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST)) for name, fd in self.kept]
        assert START + len(kept) <= FIRST
        moves = "".join(f"exec {START + i}<&{fd} {fd}<&-; " for i, (_, fd) in enumerate(kept))
        env = dict(os.environ, NOTIFY_SOCKET=str(self.path))
        if kept:
            env.update(LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=":".join(name for name, _ in kept))
        script = moves + 'export LISTEN_PID=$$; exec "$@"'
        return ["bash", "-c", script, "bash"], {"env": env, "pass_fds": [fd for _, fd in kept]}


class StoredDaemon(Daemon):
    """socketboxd as under systemd."""

    def __init__(self, world, config, **more):
        self.store = FdStore(world.directory)
        super().__init__(world, config, **more)

    def start(self, wait=True):
        self.prefix, options = self.store.pass_on()
        super().start(wait, **options)
        for fd in options["pass_fds"]:
            os.close(fd)
