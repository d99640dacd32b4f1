# SPDX-License-Identifier: BSD-2-Clause
# Packages: postfix dovecot-imapd dovecot-pop3d swaks libnet-ssleay-perl libio-socket-inet6-perl openssl
"""Postfix, as Debian configures and starts it: smtpd in a chroot, submission on 587 and 465, reload, new ports."""
import pathlib

import pytest

from compat.mail import (ADDRESSES, PASSWORD, SMTP, USER, Dovecot, Postfix, answers, check_addresses, check_parallel,
                         check_under_load, config, delivered, descendants, mailbox_machine, ready, received_from, swaks)
from compat.server import version
from support import require
from support.process import until
from support.world import CLIENT_V6, PREFIX_V6, V4, V6

LOGIN = ("--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD)
CLIENTS = ((V4, 25, SMTP), (V6, 25, SMTP))
RELOADS = 4


@pytest.fixture
def postfix(machine, service):
    """Starts Postfix: postfix(daemon, settings, *options); .machine has its files."""
    require.command("swaks")

    def start(daemon, *options, settings=()):
        files = mailbox_machine(machine, private=[*Postfix.PRIVATE, *Dovecot.PRIVATE])
        Postfix.configure(files, *settings)
        started = service(daemon, "smtp", Postfix.COMMAND, *options, prefix=files.prefix)
        started.machine = files
        return started

    return start


def check_delivery(world, machine, port, *options):
    """A message over IPv4 and one over IPv6 arrive, with the true client in their heads."""
    for address, client in ADDRESSES:
        subject = f"mail to {port} of {address}"
        swaks(world, address, subject, *options, port=port)
        message = delivered(machine, subject)
        assert received_from(message) == client, message["Received"]
        assert "(client.example.org [" in message["Received"]  # as /etc/hosts in the chroot says


def check_chroot(service):
    """All smtpd are where master.cf's "chroot: y" says."""
    queue = pathlib.Path(f"/proc/{service.program}/root/var/spool/postfix").stat().st_ino
    until(lambda: smtpd_roots(service) == {queue}, what="smtpd in the queue's directory as its root")


def smtpd_roots(service):
    """The root directories of all smtpd."""
    roots = set()
    for pid in descendants(service.program):
        try:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "smtpd":
                roots.add(pathlib.Path(f"/proc/{pid}/root").stat().st_ino)
        except OSError:
            pass  # it has ended meanwhile
    return roots


def test_postfix(world, daemon, postfix, service, row):
    hub = daemon(config(smtp=[25, 465, 587, 2525], imap=[143, 993]))
    smtp = postfix(hub, settings=["smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth"])
    ready(world, smtp, {25: "220 "})
    Dovecot.configure(smtp.machine)
    imap = service(hub, "imap", Dovecot.COMMAND, prefix=smtp.machine.prefix)
    imap.machine = smtp.machine
    ready(world, imap, {143: "* OK"})

    check_delivery(world, smtp.machine, 25)
    check_delivery(world, smtp.machine, 587, "--tls", *LOGIN)
    check_delivery(world, smtp.machine, 465, "--tls-on-connect", *LOGIN)
    assert swaks(world, V6, "without a login", "--tls", port=587, check=False).returncode
    check_chroot(smtp)
    for port in (25, 587):
        check_addresses(world, smtp, port, "220 ")
    check_parallel(world, 25, SMTP, concurrency=40)
    check_reload(world, smtp)
    check_under_load(world, [*CLIENTS, (V6, 587, SMTP)], smtp.restart)
    check_delivery_after(world, smtp)
    row("Postfix", version("postconf", "-h", "mail_version"),
        "25, 465, 587 with STARTTLS and login by Dovecot, smtpd in a chroot, mail delivered and `Received:` right, "
        "`postfix reload` under load, a port added by reload")


def check_reload(world, smtp):
    """Reloads under load lose nobody; one of them adds a port."""
    def reload():
        for _ in range(RELOADS):
            smtp.machine.run(smtp, "postfix", "reload")
        smtp.machine.run(smtp, "postconf", "-M", "2525/inet=2525 inet n - y - - smtpd")
        smtp.machine.run(smtp, "postfix", "reload")

    assert not answers(world, V6, 2525, "220 ")
    check_under_load(world, CLIENTS, reload, cut_short=0)
    ready(world, smtp, {2525: "220 "})
    check_delivery(world, smtp.machine, 2525)


def check_delivery_after(world, smtp):
    subject = "mail after the restart"
    swaks(world, V6, subject)
    assert received_from(delivered(smtp.machine, subject)) == CLIENT_V6


def test_postfix_on_specific_addresses(world, daemon, postfix, row):
    extra = PREFIX_V6.replace("::/64", "::25")
    configuration = config(smtp=[25])
    configuration["routes"].append({"to": PREFIX_V6, "port": 25, "service": "smtp"})
    smtp = postfix(daemon(configuration), "--address", extra,
                   settings=[f"inet_interfaces=127.0.0.1, {V6}, {extra}"])
    ready(world, smtp, {25: "220 "})
    for address in (V6, extra):
        swaks(world, address, f"mail to {address}")
        assert received_from(delivered(smtp.machine, f"mail to {address}")) == CLIENT_V6
    assert not answers(world, PREFIX_V6.replace("::/64", "::26"), 25, "220 ")
    row("Postfix with `inet_interfaces`", version("postconf", "-h", "mail_version"),
        "an address of a route, and one of a prefix by `--address`")
