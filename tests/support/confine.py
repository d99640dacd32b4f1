#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""confine.py PATH... -- COMMAND: runs it so that it, and what it starts, can write only beneath the paths (Landlock).

It can read and execute everything. It cannot mount."""
import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PATH_BENEATH = 444, 445, 446, 1
# WRITE_FILE, REMOVE_DIR, REMOVE_FILE, all that MAKE_..., REFER, TRUNCATE (linux/landlock.h)
WRITES = 1 << 1 | sum(1 << bit for bit in range(4, 15))
OF_A_FILE = 1 << 1 | 1 << 14
libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        sys.exit(f"confine: {os.strerror(ctypes.get_errno())}")
    return result


def main():
    end = sys.argv.index("--")
    ruleset = checked(libc.syscall(CREATE_RULESET, struct.pack("=Q", WRITES), 8, 0))
    for path in sys.argv[1:end]:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = WRITES if os.path.isdir(path) else OF_A_FILE
        checked(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", allowed, fd), 0))
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0))
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])


main()
