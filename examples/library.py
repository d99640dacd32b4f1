#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""library.py SERVICE PORT: claims [::]:PORT for SERVICE by libsocketbox, and serves a page."""
import ctypes
import os
import socket
import sys

library = ctypes.CDLL(os.environ.get("LIBSOCKETBOX", "libsocketbox.so.0"))
library.socketbox_new.restype = ctypes.c_void_p
library.socketbox_new.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
library.socketbox_error.restype = ctypes.c_char_p
library.socketbox_error.argtypes = library.socketbox_connect.argtypes = [ctypes.c_void_p]
library.socketbox_claim.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint]


def checked(result):
    if result < 0:
        sys.exit(f"library.py: {library.socketbox_error(box).decode()}")
    return result


service, port = sys.argv[1], int(sys.argv[2])
box = library.socketbox_new(service.encode(), None)
checked(library.socketbox_connect(box))
# struct sockaddr_in6: family, port, flow, address, scope
address = socket.AF_INET6.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big") + bytes(24)
listener = socket.socket(fileno=checked(library.socketbox_claim(box, socket.SOCK_STREAM, address, len(address), 0)))
listener.setblocking(True)
while True:
    connection, peer = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.0 200 OK\r\n\r\nhello {peer[0]}\n".encode())
