#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""flood.py KIND CONTROL SECONDS: a hostile client of the control socket. Prints, as JSON, what it got.

connections  opens them, as many as it can, and keeps the last thousand
messages     asks on 200 connections without a pause, and reads the answers
errors       the same with what is refused
unread       asks, and reads no answer
hoard        asks, and keeps the files that answers are in
"""
import collections
import contextlib
import json
import os
import pathlib
import resource
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from support.control import CLAIM, STATUS, message  # noqa: E402


class Flood:
    def __init__(self, path, seconds):
        self.path, self.end = path, time.monotonic() + seconds
        self.made, self.answers, self.kept = 0, 0, []

    def going(self):
        return time.monotonic() < self.end

    def connect(self):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.settimeout(0.2)
        made.connect(self.path)
        made.setblocking(False)
        self.made += 1
        return made

    def connections(self):
        last = collections.deque(maxlen=1000)
        while self.going():
            with contextlib.suppress(OSError):
                last.append(self.connect())

    def _ask(self, question, keep=False, read=True):
        clients = {}
        while self.going():
            while len(clients) < 200 and self.going():
                with contextlib.suppress(OSError):
                    made = self.connect()
                    clients[made.fileno()] = made
            for number, client in list(clients.items()):
                try:
                    client.send(question)
                    if read:
                        _, fds, _, _ = socket.recv_fds(client, 4096, 4)
                        self.answers += 1
                        self.take(fds, keep)
                except BlockingIOError:
                    pass
                except OSError:
                    clients.pop(number).close()

    def take(self, fds, keep):
        for fd in fds:
            if keep and len(self.kept) < 3500:
                self.kept.append(fd)
            else:
                os.close(fd)

    def messages(self):
        self._ask(message(STATUS))

    def errors(self):
        self._ask(message(CLAIM, bytes(32)))

    def unread(self):
        self._ask(message(STATUS), read=False)

    def hoard(self):
        self._ask(message(STATUS), keep=True)
        time.sleep(3)

    def sizes(self):
        return sum(os.fstat(fd).st_size for fd in self.kept)


def main():
    kind, path, seconds = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    flood = Flood(path, float(seconds))
    getattr(flood, kind)()
    print(json.dumps({"connections": flood.made, "answers": flood.answers, "files": len(flood.kept), "bytes": flood.sizes()}))


main()
