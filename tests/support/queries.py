# SPDX-License-Identifier: BSD-2-Clause
"""The UDP load generator (queries.c), in the client's namespace."""
import json
import struct
import subprocess

from . import paths


def dns_query(name, kind=1):
    """A DNS query for a name's record of a kind (1: A), whose number the load generator sets."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", 0, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)


class Queries:
    """Queries from now on; result() waits for their end. One that has no answer within `timeout` seconds is asked again,
    up to so many tries; with dns, so is one whose answer is that the server cannot answer yet. The first two bytes of
    the payload, and of its answer, are the query's number."""

    def __init__(self, world, address, port, payload, expect=b"", seconds=None, count=None, concurrency=64, tries=1,
                 timeout=5, dns=False):
        words = [paths.QUERIES, "--concurrency", concurrency, "--tries", tries, "--timeout-ms", int(timeout * 1000)]
        words += ["--count", count] if count else ["--seconds", seconds or 1]
        words += ["--expect", expect.hex()] if expect else []
        words += ["--dns"] if dns else []
        self.popen = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{world.client}", *map(str, words), address, str(port), payload.hex()],
            stdout=subprocess.PIPE, text=True)

    def result(self):
        return json.loads(self.popen.communicate(timeout=120)[0])


def lost(result):
    """Everything that did not go well, for assertions that show it."""
    return {key: value for key, value in result.items() if key not in ("started", "ok", "retried") and value}
