#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""own_root.py COMMAND: runs it in a mount namespace whose root directory is the caller's.

The kernel makes no user namespaces in a chroot (EPERM, user_namespaces(7)); tests that need one may be run in one.
"""
import ctypes
import os
import sys

CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 1 << 18, 2
OPEN_TREE_CLONE, AT_RECURSIVE, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 1, 0x8000, 4, -100
SYS_PIVOT_ROOT, SYS_OPEN_TREE, SYS_MOVE_MOUNT = 155, 428, 429  # x86-64
libc = ctypes.CDLL(None, use_errno=True)


def checked(what, result):
    if result < 0:
        sys.exit(f"own_root: {what}: {os.strerror(ctypes.get_errno())}")
    return result


def take_root(root):
    """Makes the directory the root of a new mount namespace; this process is outside of it."""
    os.fchdir(root)
    checked("unshare", libc.unshare(CLONE_NEWNS))  # the current directory becomes that of the new namespace
    checked("mount", libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    tree = checked("open_tree", libc.syscall(SYS_OPEN_TREE, AT_FDCWD, b".", OPEN_TREE_CLONE | AT_RECURSIVE))
    checked("move_mount", libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, b".", MOVE_MOUNT_F_EMPTY_PATH))
    os.fchdir(tree)
    checked("pivot_root", libc.syscall(SYS_PIVOT_ROOT, b".", b"."))
    checked("umount", libc.umount2(b".", MNT_DETACH))


def main():
    root, here = os.open("/", os.O_RDONLY), os.getcwd()
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    checked("setns", libc.setns(namespace, CLONE_NEWNS))  # leaves a chroot
    if not os.path.samestat(os.stat("/"), os.fstat(root)):
        take_root(root)
    os.chdir(here)
    os.execvp(sys.argv[1], sys.argv[1:])


main()
