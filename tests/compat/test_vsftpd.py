# SPDX-License-Identifier: BSD-2-Clause
# Packages: curl lftp libwrap0 libcap2 libpam0g libssl3
# Unpacked: vsftpd
"""vsftpd: Debian's vsftpd.conf, with anonymous uploads; with a narrow range of passive ports, and with its own."""
import pytest

from compat import ftp
from compat.server import version
from support import paths, require

ANONYMOUS = """
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_umask=022
anon_other_write_enable=YES
ftp_username=daemon
background=NO
max_clients=500
max_per_ip=500
"""
PASSIVE = "pasv_min_port={}\npasv_max_port={}\n".format(*ftp.PASSIVE)


def configure(directory, files, more=""):
    """Writes the configuration; returns the command that starts the server."""
    require.unpacked("/usr/sbin/vsftpd")
    package, conf = paths.UNPACKED, directory / "vsftpd.conf"
    (directory / "empty").mkdir()
    conf.write_text((package / "etc" / "vsftpd.conf").read_text() + ANONYMOUS +
                    f"anon_root={files.root}\nsecure_chroot_dir={directory}/empty\nvsftpd_log_file={directory}/vsftpd.log\n"
                    f"xferlog_file={directory}/xferlog\ndual_log_enable=YES\n{more}")
    return [package / "usr" / "sbin" / "vsftpd", conf]


@pytest.mark.parametrize("wide", [False, True], ids=["range", "stock-ports"])
def test_vsftpd(world, daemon, service, row, tmp_path, wide):
    with ftp.site("anonymous", "someone@example.org") as files:
        command = configure(tmp_path, files, "" if wide else PASSIVE)
        ftp.check_all(world, daemon, service, command, files, tmp_path, (tmp_path / "vsftpd.log").read_text,
                      ftp.ANY if wide else ftp.PASSIVE)
    if not wide:
        row("vsftpd", version("sh", "-c", f"{command[0]} -v 0>&1"),
            "passive and active (port 20), PASV, EPSV, PORT and EPRT, its sandbox on; curl and lftp")
