# SPDX-License-Identifier: BSD-2-Clause
# Packages: lighttpd
"""lighttpd: Debian's two sockets on one port, graceful stop and graceful restart."""
import signal

from compat.server import check_all, check_reload, version
from support import require


def test_lighttpd(world, daemon, service, row, open_path):
    lighttpd = require.command("lighttpd")
    (open_path / "index.shtml").write_text(
        'client=<!--#echo var="REMOTE_ADDR" --> server=<!--#echo var="SERVER_ADDR" -->\n')
    (open_path / "lighttpd.conf").write_text(f"""
server.modules = ( "mod_indexfile", "mod_ssi", "mod_staticfile" )
server.document-root = "{open_path}"
server.username = "www-data"
server.groupname = "www-data"
server.port = 80
index-file.names = ( "index.shtml" )
ssi.extension = ( ".shtml" )
include_shell "/usr/share/lighttpd/use-ipv6.pl " + server.port
""")
    started = check_all(world, daemon, service, [lighttpd, "-D", "-f", open_path / "lighttpd.conf"],
                        restart=signal.SIGINT)
    check_reload(world, lambda: started.process.send(signal.SIGUSR1))
    row("lighttpd", version(lighttpd, "-v"), "`0.0.0.0:80` beside `[::]:80`, graceful stop, graceful restart under load")
