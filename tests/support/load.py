# SPDX-License-Identifier: BSD-2-Clause
"""The load generator (load.c), in the client's namespace."""
import json
import subprocess
import time

from . import paths


class Load:
    """Short connections from now on; result() waits for their end. greeted: the server speaks first; pause: for so
    many ms after each connection its place stays empty, so that what is under test has the processors."""

    def __init__(self, world, address, port=80, seconds=None, count=None, concurrency=16, expect="", request=None,
                 greeted=False, pause=0):
        words = [paths.LOAD, "--concurrency", concurrency, "--expect", expect]
        words += ["--count", count] if count else ["--seconds", seconds or 1]
        if isinstance(request, bytes):
            words += ["--request-hex", request.hex()]
        elif request:
            words += ["--request", request]
        words += ["--greeted"] if greeted else []
        words += ["--pause", pause] if pause else []
        self.begun = time.monotonic()
        self.popen = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{world.client}", *map(str, words), address, str(port)],
            stdout=subprocess.PIPE, text=True)

    def running(self):
        return self.popen.poll() is None

    def stop(self):
        """Starts no more connections, after a second at least; result() then waits for those under way."""
        time.sleep(max(0, self.begun + 1 - time.monotonic()))
        self.popen.terminate()

    def result(self):
        return json.loads(self.popen.communicate(timeout=120)[0])


def lost(result, cut_short=0):
    """Everything that did not go well, for assertions that show it. So many connections may have been accepted and
    ended without an answer, as by a server that dies."""
    bad = {key: value for key, value in result.items() if key not in ("started", "ok", "example") and value}
    if set(bad) <= {"reset", "closed"} and sum(bad.values()) <= cut_short:
        return {}
    return bad and {**bad, "example": result["example"]}
