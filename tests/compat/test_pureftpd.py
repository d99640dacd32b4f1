# SPDX-License-Identifier: BSD-2-Clause
# Packages: curl lftp libcap2 libcrypt1 libpam0g libsodium23 libssl3
# Unpacked: pure-ftpd
"""Pure-FTPd, standalone, with a virtual user."""
import subprocess

from compat import ftp
from compat.server import version
from support import paths, require

SECRET = "$1$salt$ez2vlPGdaLYkJam5pWs/Y1"  # crypt("secret")


def test_pureftpd(world, daemon, service, row, tmp_path):
    require.unpacked("/usr/sbin/pure-ftpd")
    package = paths.UNPACKED
    pureftpd = package / "usr" / "sbin" / "pure-ftpd"
    log = tmp_path / "transfer.log"
    with ftp.site("joe", "secret") as files:
        # Not by pure-pw useradd, whose hash takes half a second of a CPU at each login.
        (tmp_path / "passwd").write_text(f"joe:{SECRET}:{ftp.WRITER}:{ftp.WRITER}::{files.root}/./" + ":" * 12 + "\n")
        subprocess.run([package / "usr" / "bin" / "pure-pw", "mkdb", tmp_path / "pdb", "-f", tmp_path / "passwd"],
                       check=True, capture_output=True)
        ftp.check_all(
            world, daemon, service,
            [pureftpd, "-l", f"puredb:{tmp_path}/pdb", "-E", "-A", "-H", "-u", "1", "-p", "50000:50199", "-c", "200",
             "-C", "200", "-O", f"clf:{log}", "-g", tmp_path / "pid"], files, tmp_path, log.read_text)
    row("Pure-FTPd", version(pureftpd, "--help"),
        "passive and active (port 20), PASV, EPSV, PORT and EPRT, chroot; curl and lftp")
