# SPDX-License-Identifier: BSD-2-Clause
# Packages: apache2
"""Apache under the preload library: both MPMs, and nothing about TCP_DEFER_ACCEPT in its log."""
import signal

import pytest

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import check_reload, version
from support import require


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_apache(world, preloaded, row, tmp_path, mpm):  # noqa: F811
    apache = require.command("apache2")
    server = preloaded(mapped=True)
    page = server.directory / "page"
    page.mkdir()
    (page / "index.shtml").write_text(
        'client=<!--#echo var="REMOTE_ADDR" --> server=<!--#echo var="SERVER_ADDR" -->\n')
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in (f"mpm_{mpm}", "authz_core", "dir", "include", "mime", "reqtimeout"))
    (tmp_path / "apache.conf").write_text(f"""
ServerRoot {tmp_path}
ServerName test
PidFile {tmp_path}/apache.pid
ErrorLog {tmp_path}/error.log
LogLevel debug
{modules}
User www-data
Group www-data
Listen 80
DocumentRoot {page}
DirectoryIndex index.shtml
TypesConfig /etc/mime.types
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory {page}>
  Options +Includes
  Require all granted
</Directory>
""")
    check_all(world, server, [apache, "-d", tmp_path, "-f", tmp_path / "apache.conf", "-D", "FOREGROUND"],
              restart=signal.SIGWINCH)
    if mpm == "event":
        check_reload(world, lambda: server.process.send(signal.SIGUSR1))
    log = (tmp_path / "error.log").read_text()
    assert "resuming normal operations" in log
    assert "APR_TCP_DEFER_ACCEPT" not in log
    row(f"Apache ({mpm})", version(apache, "-v"), "`Listen 80`, `ipv4: mapped`, no message about `APR_TCP_DEFER_ACCEPT`" +
        (", graceful restart under load" if mpm == "event" else ""), "preload")
