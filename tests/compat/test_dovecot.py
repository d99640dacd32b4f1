# SPDX-License-Identifier: BSD-2-Clause
# Packages: dovecot-imapd dovecot-pop3d openssl
"""Dovecot, as Debian configures it: IMAP and POP3, with TLS from the start and by command, login by PAM, reload."""
import mailbox
import re

from compat.mail import (ADDRESSES, PASSWORD, USER, Dovecot, check_addresses, check_parallel, check_under_load, config,
                         mailbox_machine, ready)
from compat.server import version
from support.machine import HOSTNAME
from support.process import until
from support.world import V4, V6

IMAP = {"request": "a LOGOUT\r\n", "expect": "* BYE", "greeted": True}
POP3 = {"request": "QUIT\r\n", "expect": "+OK Logging out", "greeted": True}
# One for each of the two, since a busy Dovecot starves the second family that comes to a listener.
CLIENTS = ((V6, 143, IMAP), (V4, 110, POP3))
# URLs that curl gets the first message from; the plain protocols are to use STARTTLS and STLS.
MESSAGES = {143: "imap://{}/INBOX;MAILINDEX=1", 993: "imaps://{}/INBOX;MAILINDEX=1", 110: "pop3://{}/1",
            995: "pop3s://{}/1"}


def put_message(machine):
    box = mailbox.mbox(machine.path(f"/var/mail/{USER}"))
    box.add("From: bob@example.org\nSubject: hello\n\nThe text of the message.\n")
    box.close()


def check_messages(world, machine):
    """The message is there by all ports, and the log of each login has both ends' true addresses."""
    for port, url in MESSAGES.items():
        for address, client in ADDRESSES:
            before = len(logins(machine))
            text = world.curl(url.format(HOSTNAME), "--ssl-reqd", "-u", f"{USER}:{PASSWORD}", "--cacert",
                              machine.path("/etc/dovecot/private/dovecot.pem"), "--resolve",
                              f"{HOSTNAME}:{port}:{address}", timeout=30)
            assert "The text of the message." in text
            login = until(lambda before=before: logins(machine)[before:], what="the login is logged")[0]
            assert login == (client, address)


def logins(machine):
    return re.findall(r"-login: Login: user=<alice>.* rip=([^,]+), lip=([^,]+),", machine.syslog.text())


def test_dovecot(world, daemon, service, machine, row):
    files = mailbox_machine(machine, private=Dovecot.PRIVATE)
    Dovecot.configure(files)
    put_message(files)
    imap = service(daemon(config(imap=list(MESSAGES))), "imap", Dovecot.COMMAND, prefix=files.prefix)
    imap.machine = files
    ready(world, imap, Dovecot.GREETINGS)

    check_messages(world, files)
    for port, greeting in Dovecot.GREETINGS.items():
        check_addresses(world, imap, port, greeting)
    check_parallel(world, 143, IMAP, concurrency=30)
    check_parallel(world, 110, POP3, concurrency=30)
    # A login process that is told to go before it has reached the authentication ends the conversation that it has.
    check_under_load(world, CLIENTS, lambda: files.run(imap, "doveadm", "reload"))
    assert "SIGHUP received" in files.syslog.text()
    check_messages(world, files)
    check_under_load(world, CLIENTS, imap.restart)
    check_messages(world, files)
    row("Dovecot", version("dovecot", "--version"),
        "imap, imaps, pop3, pop3s, STARTTLS and STLS, login by PAM, `rip=` and `lip=` right, reload under load")
