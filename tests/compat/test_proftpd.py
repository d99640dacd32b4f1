# SPDX-License-Identifier: BSD-2-Clause
# Packages: curl lftp libacl1 libcap2 libcrypt1 libhiredis0.14 libidn2-0 libmemcached11 libmemcachedutil2 libncursesw6
# Packages: libpam0g libpcre2-8-0 libpcre2-posix3 libssl3 libtinfo6 zlib1g
# Unpacked: proftpd-core
"""ProFTPD, standalone: as it comes, with any passive port (for PASV the kernel's choice, port 0) and no root after the
login, so that active transfers come from port 0 too; and with a range of its own and port 20."""
import subprocess

import pytest

from compat import ftp
from compat.server import version
from support import paths, require


@pytest.mark.parametrize("own_range", [False, True], ids=["stock-ports", "range"])
def test_proftpd(world, daemon, service, row, tmp_path, own_range):
    require.unpacked("/usr/sbin/proftpd")
    package = paths.UNPACKED
    proftpd = package / "usr" / "sbin" / "proftpd"
    log = tmp_path / "extended.log"
    with ftp.site("joe", "secret") as files:
        subprocess.run(
            ["perl", package / "usr" / "sbin" / "ftpasswd", "--passwd", "--file", tmp_path / "passwd", "--name", "joe",
             "--uid", str(ftp.WRITER), "--gid", str(ftp.WRITER), "--home", files.root, "--shell", "/bin/sh", "--stdin"],
            input="secret\n", text=True, check=True, capture_output=True)
        (tmp_path / "proftpd.conf").write_text(f"""
ServerName "Debian"
ServerType standalone
DefaultServer on
UseIPv6 on
Port 21
{"PassivePorts 50000 50199" if own_range else ""}
{"RootRevoke off" if own_range else ""}
MaxInstances 100
User daemon
Group daemon
Umask 022 022
AllowOverwrite on
DefaultRoot ~
RequireValidShell off
UseReverseDNS off
AuthOrder mod_auth_file.c
AuthUserFile {tmp_path}/passwd
PidFile {tmp_path}/proftpd.pid
ScoreboardFile {tmp_path}/scoreboard
DelayTable none
SystemLog {tmp_path}/system.log
LogFormat all "%a %m %s"
ExtendedLog {log} ALL all
""")
        ftp.check_all(world, daemon, service, [proftpd, "-n", "-c", tmp_path / "proftpd.conf"], files, tmp_path,
                      log.read_text, *((ftp.PASSIVE, (20,)) if own_range else (ftp.ANY, range(1024, 65536))))
    if own_range:
        row("ProFTPD", version(proftpd, "-v"),
            "passive (its range, and ports that the kernel picks) and active (port 20), PASV, EPSV, PORT and EPRT; "
            "curl and lftp")
