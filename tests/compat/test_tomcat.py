# SPDX-License-Identifier: BSD-2-Clause
# Packages: tomcat10 default-jdk-headless
"""Tomcat with the server.xml of its package, which listens on 8080: target-port serves it on 80."""
import shutil

from compat.server import CONFIG, check_all, version
from support import require

PAGE = 'client=<%= request.getRemoteAddr() %> server=<%= request.getLocalAddr() %>\n'
HOME = "/usr/share/tomcat10"


def test_tomcat(world, daemon, service, row, tmp_path):
    require.command("java")
    base = tmp_path / "base"
    for directory in ("logs", "temp", "work", "webapps/ROOT"):
        (base / directory).mkdir(parents=True)
    shutil.copytree("/etc/tomcat10", base / "conf", ignore=shutil.ignore_patterns("Catalina"))
    (base / "webapps" / "ROOT" / "index.jsp").write_text(PAGE)
    config = {"services": {"web": {"hold": "1m"}},
              "routes": [dict(CONFIG["routes"][0], **{"target-port": 8080})]}
    environment = {"CATALINA_HOME": HOME, "CATALINA_BASE": str(base),
                   "CATALINA_OPTS": "-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"}
    check_all(world, daemon, service, [f"{HOME}/bin/catalina.sh", "run"], graceful=False, config=config,
              env=environment)
    row("Tomcat", version("java", "-cp", f"{HOME}/lib/catalina.jar", "org.apache.catalina.util.ServerInfo",
                          pattern=r"Server number:\s*(\d+\.\d+\.\d+)"), "stock `server.xml`, `target-port: 8080`")
