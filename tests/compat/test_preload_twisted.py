# SPDX-License-Identifier: BSD-2-Clause
# Packages: python3-twisted
"""Twisted under the preload library: TCP clients by their addresses, and with SKBOX_STEALTH_MODE=1 clients of a Unix
socket, which Twisted would not take without an address."""
import socket

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import version
from support import a_protocol
from support.process import until

SERVER = """
from twisted.application import service
from twisted.internet import error, reactor
from twisted.web import resource, server

class Page(resource.Resource):
    isLeaf = True
    def render_GET(self, request):
        client, host = request.getClientAddress().host, request.getHost().host
        return f"client={client} server={host}\\n".encode()

class Web(service.Service):
    def startService(self):
        site = server.Site(Page())
        reactor.listenTCP(80, site, interface="::")
        reactor.listenTCP(81, site, interface="fe8f::3:0:1")
        try:
            reactor.listenTCP(80, site, interface="0.0.0.0")
        except error.CannotListenError:
            pass

application = service.Application("web")
Web().setServiceParent(application)
"""


def test_twisted(world, preloaded, row, tmp_path):  # noqa: F811
    (tmp_path / "server.tac").write_text(SERVER)
    server = preloaded()
    server.variables.update({"SKBOX_STEALTH_MODE": "1", "SKBOX_DIRECTORY_ROOT2": str(server.directory)})
    (server.directory / "00000").mkdir()
    check_all(world, server,
              ["/usr/bin/twistd3", "--nodaemon", "--pidfile", tmp_path / "twistd.pid", "--logfile", tmp_path / "twistd.log",
               "--python", tmp_path / "server.tac"])
    for connect in (connect_unix, hand_over_unix):
        with connect(server) as client:
            client.settimeout(10)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            page = b""
            while chunk := client.recv(4096):
                page += chunk
            assert b"client=::1 server=" in page
    assert "Unhandled" not in (tmp_path / "twistd.log").read_text()
    row("Twisted", version("/usr/bin/twistd3", "--version"), "`::` and `0.0.0.0` on one port; `SKBOX_STEALTH_MODE=1` with "
        "clients of a Unix socket, by `fe8f::3:X:Y` and handed over", "preload")


def connect_unix(server):
    """A client of the Unix stream listener that fe8f::3:0:1, port 81, is."""
    path = server.directory / "00000" / "00001_00081"
    until(path.exists)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def hand_over_unix(server):
    """One that comes over the "A" protocol."""
    client, other = socket.socketpair()
    a_protocol.send(server.path(80), other)
    other.close()
    return client
