#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""claim.py SERVICE PORT: claims [::]:PORT for SERVICE and answers HTTP requests with both addresses."""
import os, socket, struct, sys

MAGIC, VERSION, HELLO, CLAIM, ERROR = 0x31584253, 1, 1, 2, 0xFF


def ask(control, kind, body):
    control.send(struct.pack("=IHHII", MAGIC, VERSION, kind, 16 + len(body), 1) + body)
    reply, fds, _, _ = socket.recv_fds(control, 2048, 1)
    if struct.unpack_from("=IHH", reply)[2] == ERROR:
        code, _, text = struct.unpack_from("=iI1024s", reply, 16)
        raise OSError(code, text.split(b"\0")[0].decode())
    return fds[0]


service, port = sys.argv[1], int(sys.argv[2])
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.connect(os.environ.get("SOCKETBOX_CONTROL", "/run/socketbox/control.sock"))
os.close(ask(control, HELLO, struct.pack("=64s", service.encode())))
fd = ask(control, CLAIM, struct.pack("=16sHBxIII", bytes(16), port, 6, socket.IPPROTO_TCP, 0, 0))

listener = socket.socket(fileno=fd)
listener.setblocking(True)
while True:
    connection, peer = listener.accept()
    connection.recv(65536)
    text = f"{peer[0]} reached {connection.getsockname()[0]}\n"
    connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{text}".encode())
    connection.close()
