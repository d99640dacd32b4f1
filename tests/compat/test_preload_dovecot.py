# SPDX-License-Identifier: BSD-2-Clause
# Packages: dovecot-imapd dovecot-pop3d
"""Dovecot under the preload library: its own binaries, and one line of `import_environment` in its configuration."""
import re

from compat.preload import preloaded  # noqa: F401
from compat.preload_mail import ADDRESSES, check_parallel, check_restart, environment_list, greets, talk
from compat.server import version
from support import require
from support.process import until

CONFIGURATION = """
import_environment = $import_environment {variables}
protocols = imap pop3
listen = *, ::
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{directory}/mail/%u
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={directory}/mail/%u
}}
first_valid_uid = 1
"""


def test_dovecot(world, preloaded, row):  # noqa: F811
    dovecot = require.command("dovecot")
    server = preloaded(ports=(143, 110))
    (server.directory / "mail").mkdir()
    (server.directory / "mail").chmod(0o777)
    configuration = server.directory / "dovecot.conf"
    configuration.write_text(CONFIGURATION.format(directory=server.directory, variables=environment_list(server)))
    server.feed()
    server.start([dovecot, "-F", "-c", configuration])
    for port, greeting in ((143, "* OK"), (110, "+OK")):
        until(greets(world, port, greeting), 60, f"port {port}: {server.log()[-2000:]}")
    for address, client in ADDRESSES:
        answers = talk(world, address, 143, "a LOGIN alice secret", "b SELECT INBOX", "c LOGOUT")
        assert "a OK" in answers[1] and "b OK" in answers[2]
        assert re.search(rf"imap-login: Info: Login: user=<alice>.* rip={client}, lip={address},", server.log())
        answers = talk(world, address, 110, "USER bob", "PASS secret", "STAT", "QUIT")
        assert all(answer.startswith("+OK") for answer in answers)
        assert re.search(rf"pop3-login: Info: Login: user=<bob>.* rip={client}, lip={address},", server.log())
    check_parallel(world, 143, "a LOGOUT\r\n", "a OK")
    check_restart(world, server, 143, "* OK", "a LOGOUT\r\n", "a OK")
    row("Dovecot", version(dovecot, "--version"), "imap and pop3, logins with `rip` and `lip` right, no wrapped binaries",
        "preload")
