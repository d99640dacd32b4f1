# SPDX-License-Identifier: BSD-2-Clause
# Packages: postfix
"""Postfix under the preload library: its own binaries and master.cf, smtpd in a chroot, one setting of
`import_environment`. Mail is really delivered, and says who brought it."""
import os
import pathlib
import re
import shutil
import subprocess

from compat.preload import preloaded  # noqa: F401
from compat.preload_mail import ADDRESSES, check_parallel, check_restart, environment_list, greets, talk
from compat.server import version
from support import require
from support.process import until

PORTS = (25, 587)


def configure(server, postconf):
    """The package's main.cf and master.cf with submission, in directories of the test's."""
    configuration, queue = server.directory / "etc", server.directory / "queue"
    for directory in (configuration, queue, server.directory / "data"):
        directory.mkdir()
    shutil.chown(server.directory / "data", "postfix", "postfix")
    (server.directory / "mail").mkdir()
    (server.directory / "mail").chmod(0o1777)
    shutil.copy("/usr/share/postfix/main.cf.debian", configuration / "main.cf")
    master = pathlib.Path("/usr/share/postfix/master.cf.dist").read_text()
    (configuration / "master.cf").write_text(re.sub(r"^#(submission inet )", r"\1", master, flags=re.MULTILINE))
    usual = subprocess.run([postconf, "-d", "-h", "import_environment"], capture_output=True, text=True, check=True).stdout
    subprocess.run([postconf, "-c", configuration, "-e",
                    f"queue_directory={queue}", f"data_directory={server.directory}/data", "maillog_file=/dev/stdout",
                    "myhostname=mail.example.org", "mydestination=example.org", "inet_interfaces=all",
                    "alias_maps=", "alias_database=", "smtpd_tls_security_level=none", "compatibility_level=3.6",
                    f"mail_spool_directory={server.directory}/mail/",
                    f"import_environment={usual.strip()} {environment_list(server)}"], check=True)
    return configuration


def delivered(server, subject):
    """The text of the message with that subject, once it is there."""
    def find():
        for path in (server.directory / "mail").glob("*/new/*"):
            if f"Subject: {subject}" in path.read_text():
                return path.read_text()
        return None
    return until(find, 60, f"delivery of {subject}: {server.log()[-2000:]}")


def test_postfix(world, preloaded, row):  # noqa: F811
    postconf = require.command("postconf")
    server = preloaded(ports=PORTS)
    configuration = configure(server, postconf)
    server.feed()
    postfix = [require.command("postfix"), "-c", configuration]
    server.start([*postfix, "start-fg"], stop_command=[*postfix, "stop"])
    for port in PORTS:
        until(greets(world, port, "220 "), 60, f"port {port}: {server.log()[-2000:]}")
    for address, client in ADDRESSES:
        for port in PORTS:
            subject = f"to {port} of {address}"
            answers = talk(world, address, port, "HELO client.example.org", "MAIL FROM:<a@client.example.org>",
                           "RCPT TO:<nobody@example.org>", "DATA", f"Subject: {subject}\r\n\r\ntext\r\n.", "QUIT")
            assert [answer[:3] for answer in answers] == ["220", "250", "250", "250", "354", "250", "221"], answers
            found = re.search(r"\[(?:IPv6:)?([0-9a-f.:]+)\]", delivered(server, subject))
            assert found.group(1) == client
    children = subprocess.run(["pgrep", "smtpd"], capture_output=True, text=True, check=True).stdout.split()
    roots = {os.path.realpath(f"/proc/{pid}/root") for pid in children}
    assert str(server.directory / "queue") in roots
    check_parallel(world, 25, "QUIT\r\n", "221 ")
    check_restart(world, server, 25, "220 ", "QUIT\r\n", "221 ")
    row("Postfix", version(postconf, "-h", "mail_version"), "25 and 587, smtpd in a chroot, mail delivered and `Received:` "
        "right, no wrapped binaries", "preload")
