# SPDX-License-Identifier: BSD-2-Clause
# Packages: python3
"""Python: http.server, socket.create_server with dualstack, asyncio."""
import sys

import pytest

from compat.server import check_all

HTTP_SERVER = """
import http.server, socket
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"client={self.client_address[0]} server={self.connection.getsockname()[0]}\\n".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 512
Server(("::", 80), Handler).serve_forever()
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
    ("http.server", HTTP_SERVER, "ThreadingHTTPServer on `::`"),
    ("create_server", CREATE_SERVER, "`dualstack_ipv6=True`"),
    ("asyncio", ASYNCIO, "`start_server(None)`: a socket for each family"),
], ids=["http.server", "create_server", "asyncio"])
def test_python(world, daemon, service, row, name, script, also):
    check_all(world, daemon, service, ["/usr/bin/python3", "-c", script], graceful=False)
    row(f"Python {name}", ".".join(map(str, sys.version_info[:3])), also)
