# SPDX-License-Identifier: BSD-2-Clause
"""What the mail servers' tests share: a machine with a user and her mailbox, the servers' stock configurations, clients,
and the four checks."""
import mailbox
import os
import pathlib
import re
import shutil
import time

from compat.server import local_address, plain
from support import require
from support.load import Load, lost
from support.machine import HOSTNAME
from support.process import until
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

USER, PASSWORD = "alice", "correct horse"
ADDRESSES = ((V4, CLIENT_V4), (V6, CLIENT_V6))
CONCURRENCY = 8
SMTP = {"request": "QUIT\r\n", "expect": "\n221 ", "greeted": True}


def config(**ports):
    """A configuration with a service for each name, which has these ports of both addresses. A mail server starts in
    several steps, which can take their time."""
    return {"services": {name: {"hold": "60s"} for name in ports},
            "routes": [{"to": [V4, V6], "port": numbers, "service": name} for name, numbers in ports.items()]}


def descendants(pid):
    """A process and all below it."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(below for child in children for below in descendants(int(child)))]


def accepted_address(service, peer):
    """What getsockname says about the connection with a peer, in the process of the service that serves it."""
    for pid in descendants(service.process.pid):
        try:
            found = local_address(pid, peer)
        except OSError:
            continue  # it has ended meanwhile
        if found:
            return found
    return None


def check_addresses(world, service, port, greeting):
    """The server side of a connection has the server's true address."""
    for address, client in ADDRESSES:
        with connect(world, address, port, timeout=30) as connection:
            assert connection.recv(4096).decode().startswith(greeting)
            peer = connection.getsockname()[:2]
            assert peer[0] == client
            assert accepted_address(service, peer) == (address, port)


def check_parallel(world, port, talk, concurrency, count=300):
    for address, _ in ADDRESSES:
        result = Load(world, address, port, count=count, concurrency=concurrency, **talk).result()
        assert (result["ok"], lost(result)) == (count, {})


def check_under_load(world, clients, change, cut_short=CONCURRENCY, seconds=8):
    """Calls change() while clients come, each (address, port, talk): none may be refused. A server that is stopped ends
    the conversations that it has, so many for each address and port."""
    loads = [Load(world, address, port, seconds=seconds, concurrency=CONCURRENCY, **talk)
             for address, port, talk in clients]
    time.sleep(1)
    change()
    for result in [load.result() for load in loads]:
        assert result["ok"] > 20
        assert lost(result, cut_short=cut_short) == {}


def swaks(world, address, subject, *options, port=25, sender="bob@client.example.org", check=True):
    """Sends a message to the user; returns the conversation."""
    return world.run(["swaks", "--server", address, "-6" if ":" in address else "-4", "--port", port, "--helo",
                      "client.example.org", "--from", sender, "--to", f"{USER}@example.org", "--header",
                      f"Subject: {subject}", "--body", f"The text of {subject}.", *options], check=check, timeout=60)


def delivered(machine, subject, timeout=60):
    """The message, once it is in the user's mailbox."""
    path = machine.path(f"/var/mail/{USER}")

    def find():
        if not path.exists():
            return None
        return next((message for message in mailbox.mbox(path) if message["Subject"] == subject), None)

    message = until(find, timeout, f"delivery of {subject} ({machine.syslog.text()[-2000:]})")
    assert f"The text of {subject}." in message.get_payload()
    return message


def received_from(message):
    """The client's address, as the server has written it into the message's head."""
    found = re.search(r"\[(?:IPv6:)?([0-9a-f.:]+)\]", message["Received"])
    return found and plain(found.group(1))


def mailbox_machine(machine, **options):
    """A machine with the user."""
    made = machine(**options)
    made.add_user(USER, 61001, PASSWORD)
    spool = made.path(f"/var/mail/{USER}")
    spool.touch()
    os.chown(spool, 61001, 8)
    spool.chmod(0o660)
    return made


def answers(world, address, port, greeting):
    """Whether a server greets there."""
    try:
        with connect(world, address, port, timeout=10) as connection:
            return connection.recv(4096).decode().startswith(greeting)
    except OSError:
        return False


def ready(world, service, greetings, address=V6):
    """Waits until the service greets on its ports, as {port: greeting}."""
    for port, greeting in greetings.items():
        until(lambda port=port, greeting=greeting: answers(world, address, port, greeting), 60,
              f"port {port} ({service.log()} {service.machine.syslog.text()[-2000:]})")


class Postfix:
    """Debian's Postfix. The configuration is what the package's installation makes, with the submission services that
    master.cf has in comments; it is started as the package's unit does."""

    CERTIFICATE, KEY = "/etc/ssl/certs/ssl-cert-snakeoil.pem", "/etc/ssl/private/ssl-cert-snakeoil.key"
    PRIVATE = ("/var/lib/postfix",)
    COMMAND = ("postmulti", "-i", "-", "-p", "start")
    SETTINGS = (f"myhostname={HOSTNAME}", "alias_maps=hash:/etc/aliases", "alias_database=hash:/etc/aliases",
                "mydestination=$myhostname, example.org, localhost", "inet_interfaces=all",
                # Debian's has a file whose exclusive lock fails Postfix where a reload follows a reload.
                "smtp_tls_session_cache_database=")

    @classmethod
    def configure(cls, machine, *settings):
        require.command("postmulti")
        shutil.copy("/usr/share/postfix/main.cf.debian", machine.path("/etc/postfix/main.cf"))
        machine.write("/etc/postfix/main.cf", pathlib.Path("/usr/share/postfix/main.cf.tls").read_text(), append=True)
        machine.write("/etc/postfix/master.cf", cls.master())
        machine.write("/etc/aliases", "postmaster: root\n")
        machine.certificate(cls.CERTIFICATE, cls.KEY)
        machine.path("/var/spool/postfix").mkdir()
        shutil.chown(machine.path("/var/lib/postfix"), "postfix", "postfix")
        machine.prepare("postconf", "-e", *cls.SETTINGS)
        machine.prepare("newaliases")  # would look for the addresses of inet_interfaces
        machine.prepare("postconf", "-e", *cls.SETTINGS, *settings)
        machine.prepare("/usr/lib/postfix/configure-instance.sh", "-")

    @staticmethod
    def master():
        """The package's master.cf, with submission and submissions uncommented."""
        lines, inside = [], False
        for line in pathlib.Path("/usr/share/postfix/master.cf.dist").read_text().splitlines():
            inside = bool(re.match(r"#submissions? ", line)) or (inside and line.startswith("#  "))
            lines.append(line[1:] if inside and not line.startswith("#     ") else line)
        return "\n".join(lines) + "\n"


class Dovecot:
    """Debian's Dovecot, which authenticates by PAM, and shall do it for Postfix too, if that is on the machine."""

    PRIVATE = ("/var/lib/dovecot",)
    COMMAND = ("dovecot", "-F")
    GREETINGS = {143: "* OK", 110: "+OK"}

    @classmethod
    def configure(cls, machine):
        require.command("dovecot")
        stock, target = pathlib.Path("/usr/share/dovecot"), machine.path("/etc/dovecot")
        for path in [stock / "dovecot.conf", *(stock / "conf.d").iterdir()]:
            shutil.copy(path, target / path.relative_to(stock))
        machine.certificate("/etc/dovecot/private/dovecot.pem", "/etc/dovecot/private/dovecot.key")
        if machine.path("/var/spool/postfix").exists():
            path = target / "conf.d" / "10-master.conf"
            path.write_text(re.sub(r"( *)#(unix_listener /var/spool/postfix/private/auth \{\n *)#(.*\n *)#(\})", r"\1\2\3\4",
                                   path.read_text()))
            assert "\n  unix_listener /var/spool/postfix" in path.read_text()
