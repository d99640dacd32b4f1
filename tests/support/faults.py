# SPDX-License-Identifier: BSD-2-Clause
"""Makes a daemon's calls fail: tests/support/faults.c is preloaded, and Faults steers it while the daemon runs."""
import contextlib
import errno
import mmap
import os
import struct

from . import paths

MEMORY, DESCRIPTORS, SOCKETS, MESSAGES, BPF, EVENTS, QUESTIONS = (1 << bit for bit in range(7))
FOREVER = 0xFFFFFFFF
_LAYOUT = "=IIiIIIIxxxxqq32s"


class Faults:
    """Give .prefix to the daemon that is to fail."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        asan = os.environ.get("ASAN_OPTIONS", "")
        self.prefix = ["env", f"LD_PRELOAD={paths.FAULTS}", f"SOCKETBOX_FAULTS={path}",
                       f"ASAN_OPTIONS=verify_asan_link_order=0:allocator_may_return_null=1:{asan}"]

    def _fields(self):
        return struct.unpack_from(_LAYOUT, self.map)

    def arm(self, kinds, error, first=1, count=FOREVER):
        """From now on the calls first..first+count-1 of these kinds fail."""
        self.disarm()
        struct.pack_into("=IiIIII", self.map, 4, kinds, error, first, count, 0, 0)
        struct.pack_into("=32s", self.map, 48, b"")
        struct.pack_into("=I", self.map, 0, 1)

    def disarm(self):
        struct.pack_into("=I", self.map, 0, 0)

    @contextlib.contextmanager
    def armed(self, kinds, error, first=1, count=FOREVER):
        self.arm(kinds, error, first, count)
        try:
            yield
        finally:
            self.disarm()

    @property
    def failed(self):
        """How many calls have failed since arm()."""
        return self._fields()[6]

    @property
    def live(self):
        """Allocations that have not been freed."""
        return self._fields()[7]

    @property
    def last(self):
        return self._fields()[9].rstrip(b"\0").decode()

    def shift_clock(self, seconds):
        """The wall clock jumps to that far from the true time."""
        struct.pack_into("=q", self.map, 40, seconds)
