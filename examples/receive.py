#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""receive.py PATH: answers HTTP requests on connections that are handed over at PATH ("A" protocol), without a library."""
import os
import socket
import sys

path = sys.argv[1]
if os.path.exists(path):
    os.unlink(path)
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(path)
while True:
    _, fds, _, _ = socket.recv_fds(receiver, 1, 16)
    for extra in fds[1:]:
        os.close(extra)
    if not fds:
        continue
    with socket.socket(fileno=fds[0]) as connection:
        connection.recv(65536)
        text = f"hello {connection.getpeername()[0]}\n"
        connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{text}".encode())
