# SPDX-License-Identifier: BSD-2-Clause
# Packages: python3
"""Python under the preload library: `accept()` on a bound Unix datagram socket, as the original's page has it, and
ordinary servers."""
import sys

import pytest

from compat.preload import check_all, preloaded  # noqa: F401

DATAGRAM = """
import os, socket, sys, threading
def serve(connection, peer):
    with connection:
        connection.recv(65536)
        text = f"client={peer[0]} server={connection.getsockname()[0]}\\n"
        connection.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{text}".encode())
path = os.environ["SOCKETBOX_PRELOAD_SOCKET"].replace("_@SB_", "00080")
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(path)
while True:
    threading.Thread(target=serve, args=server.accept()).start()
"""

CREATE_SERVER = """
import socket, threading
def serve(connection, peer):
    with connection:
        connection.recv(65536)
        text = f"client={peer[0]} server={connection.getsockname()[0]}\\n"
        connection.sendall(f"HTTP/1.0 200 OK\\r\\n\\r\\n{text}".encode())
server = socket.create_server(("", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
while True:
    threading.Thread(target=serve, args=server.accept()).start()
"""

ASYNCIO = """
import asyncio
async def serve(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    info = writer.get_extra_info
    writer.write(f"HTTP/1.0 200 OK\\r\\n\\r\\nclient={info('peername')[0]} server={info('sockname')[0]}\\n".encode())
    await writer.drain(); writer.close()
async def main():
    server = await asyncio.start_server(serve, None, 80, backlog=512)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.mark.parametrize("name,script,also", [
    ("`accept()` on a datagram socket", DATAGRAM, "no virtual address"),
    ("create_server", CREATE_SERVER, "`dualstack_ipv6=True`"),
    ("asyncio", ASYNCIO, "`start_server(None)`: a socket for each family"),
], ids=["datagram", "create_server", "asyncio"])
def test_python(world, preloaded, row, name, script, also):  # noqa: F811
    check_all(world, preloaded(), ["/usr/bin/python3", "-c", script])
    row(f"Python {name}", ".".join(map(str, sys.version_info[:3])), also, "preload")
