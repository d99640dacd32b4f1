#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""observe.py [FD...]: prints as JSON what a program finds that inherits sockets: each descriptor's options, and the
environment that speaks of them. Without numbers: descriptors 3 to 19, as far as they are open."""
import errno
import fcntl
import json
import os
import socket
import struct
import sys

OPTIONS = {
    "listening": (socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
    "reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "reuseport": (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    "v6only": (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
    "freebind": (socket.IPPROTO_IP, 15),
    "freebind6": (socket.IPPROTO_IPV6, 78),
    "transparent": (socket.IPPROTO_IP, 19),
    "transparent6": (socket.IPPROTO_IPV6, 75),
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "defer": (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
}


def plain(address):
    return address.decode("latin-1").replace("\0", "@") if isinstance(address, bytes) else address


def netns_of(sock):
    """The number of the socket's network namespace (SIOCGSKNS)."""
    try:
        fd = fcntl.ioctl(sock, 0x894C)
    except OSError as error:
        return error.errno
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def describe(fd):
    sock = socket.socket(fileno=os.dup(fd))
    facts = {"domain": sock.family, "type": sock.type, "protocol": sock.proto, "name": plain(sock.getsockname()),
             "cloexec": not os.get_inheritable(fd), "blocking": os.get_blocking(fd), "netns": netns_of(sock),
             "interface": sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0").decode()}
    for name, (level, option) in OPTIONS.items():
        try:
            facts[name] = sock.getsockopt(level, option)
        except OSError as error:
            assert error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP), error
    if facts.get("listening") and sock.family != socket.AF_UNIX:  # tcpi_sacked is a listener's backlog
        facts["backlog"] = struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)[0]
    return facts


def main():
    numbers = [int(word) for word in sys.argv[1:]]
    if not numbers:
        numbers = [fd for fd in range(3, 20) if os.path.exists(f"/proc/self/fd/{fd}")
                   and os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")]
    told = {key: value for key, value in os.environ.items()
            if key.startswith(("LISTEN_", "SOCKETBOX_FD_", "CTRTOOL_NS_OPEN_FILE_FD_"))}
    print(json.dumps({"fds": {fd: describe(fd) for fd in numbers}, "environment": told, "pid": os.getpid(),
                      "netns": os.stat("/proc/self/ns/net").st_ino, "userns": os.stat("/proc/self/ns/user").st_ino,
                      "uid": os.getuid(), "groups": os.getgroups()}))


main()
