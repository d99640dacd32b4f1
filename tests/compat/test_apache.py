# SPDX-License-Identifier: BSD-2-Clause
# Packages: apache2
"""Apache, event and prefork: one dual-stack listener, graceful restart."""
import signal

import pytest

from compat.server import check_all, check_reload, version
from support import require


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_apache(world, daemon, service, row, tmp_path, open_path, mpm):
    apache = require.command("apache2")
    (open_path / "index.shtml").write_text(
        'client=<!--#echo var="REMOTE_ADDR" --> server=<!--#echo var="SERVER_ADDR" -->\n')
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in (f"mpm_{mpm}", "authz_core", "dir", "include", "mime"))
    (tmp_path / "apache.conf").write_text(f"""
ServerRoot {tmp_path}
ServerName test
PidFile {tmp_path}/apache.pid
ErrorLog {tmp_path}/error.log
{modules}
User www-data
Group www-data
Listen 80
DocumentRoot {open_path}
DirectoryIndex index.shtml
TypesConfig /etc/mime.types
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
<Directory {open_path}>
  Options +Includes
  Require all granted
</Directory>
""")
    started = check_all(world, daemon, service,
                        [apache, "-d", tmp_path, "-f", tmp_path / "apache.conf", "-D", "FOREGROUND"],
                        restart=signal.SIGWINCH)
    check_reload(world, lambda: started.process.send(signal.SIGUSR1))
    row(f"Apache ({mpm})", version(apache, "-v"), "`Listen 80`, graceful stop, graceful restart under load")
