# SPDX-License-Identifier: BSD-2-Clause
# Packages: python3-twisted
"""Twisted, started by twistd; listening as Synapse does: on `::`, and on 0.0.0.0 beside it if that is free."""
from compat.server import check_all, version

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
        try:
            reactor.listenTCP(80, site, interface="0.0.0.0")
        except error.CannotListenError:
            pass

application = service.Application("web")
Web().setServiceParent(application)
"""


def test_twisted(world, daemon, service, row, tmp_path):
    (tmp_path / "server.tac").write_text(SERVER)
    check_all(world, daemon, service,
              ["/usr/bin/twistd3", "--nodaemon", "--pidfile", tmp_path / "twistd.pid", "--logfile", tmp_path / "twistd.log",
               "--python", tmp_path / "server.tac"], graceful=False)
    row("Twisted", version("/usr/bin/twistd3", "--version"), "`::` and `0.0.0.0` on one port, as Synapse listens")
