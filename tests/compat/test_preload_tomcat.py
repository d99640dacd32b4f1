# SPDX-License-Identifier: BSD-2-Clause
# Packages: tomcat10 default-jdk-headless
"""Tomcat with the server.xml of its package under the preload library: it binds 8080, and is fed from 80."""
import ipaddress
import re
import shutil

from compat.preload import Preloaded, check_all, preloaded  # noqa: F401
from compat.server import version
from support import require
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

PAGE = 'client=<%= request.getRemoteAddr() %> server=<%= request.getLocalAddr() %>\n'
HOME = "/usr/share/tomcat10"


def check_page(world, _server):
    """Java writes IPv6 addresses in a form of its own."""
    for url, client, host in ((f"http://{V4}/", CLIENT_V4, V4), (f"http://[{V6}]/", CLIENT_V6, V6)):
        found = re.search(r"client=(\S+) server=(\S+)", world.curl(url))
        assert [str(ipaddress.ip_address(text)) for text in found.groups()] == [client, host]


def test_tomcat(world, preloaded, row, tmp_path):  # noqa: F811
    require.command("java")
    base = tmp_path / "base"
    for directory in ("logs", "temp", "work", "webapps/ROOT"):
        (base / directory).mkdir(parents=True)
    shutil.copytree("/etc/tomcat10", base / "conf", ignore=shutil.ignore_patterns("Catalina"))
    (base / "webapps" / "ROOT" / "index.jsp").write_text(PAGE)
    server: Preloaded = preloaded(ports=(8080,), env={
        "CATALINA_HOME": HOME, "CATALINA_BASE": str(base),
        "CATALINA_OPTS": "-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"})
    server.feed(ports=(80,), paths_of={80: server.path(8080)})
    check_all(world, server, [f"{HOME}/bin/catalina.sh", "run"], feed=False, addresses=check_page)
    assert 'Starting ProtocolHandler ["http-nio-8080"]' in server.log()
    row("Tomcat", version("java", "-cp", f"{HOME}/lib/catalina.jar", "org.apache.catalina.util.ServerInfo",
                          pattern=r"Server number:\s*(\d+\.\d+\.\d+)"), "stock `server.xml` on 8080, served on 80", "preload")
