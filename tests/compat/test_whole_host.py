# SPDX-License-Identifier: BSD-2-Clause
# Packages: postfix dovecot-imapd dovecot-pop3d swaks nginx-light openssh-server openssh-client unbound bind9-dnsutils
# Unpacked: vsftpd
"""examples/whole-host.yaml: mail, web, ssh, dns and ftp servers on one IPv4 address and one IPv6 /64, each in an empty
namespace of its own, with clients of all kinds for a minute while the configuration is reloaded every second."""
import collections
import mailbox
import os
import shutil
import time

import pytest

from compat import ftp, test_openssh, test_unbound, test_vsftpd, whole_host
from compat.datagrams import ANSWER, ANSWER_V6, NAME, dig
from compat.mail import USER, Dovecot, Postfix, answers, mailbox_machine, received_from, swaks
from support import paths, require
from support.preload import Directory
from support.process import until
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

EXAMPLE = paths.EXAMPLES / "whole-host.yaml"
MAIL6, WEB6, SSH6, DNS6, FTP6 = (f"2001:db8:1::{number}" for number in (25, 80, 22, 53, 21))
GREETINGS = {25: "220 ", 587: "220 ", 143: "* OK", 110: "+OK", 22: "SSH-2.0-", 21: "220"}
SECONDS = 60
NGINX = """
pid {directory}/{name}.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 256; }}
http {{ access_log off; server {{
  listen {port}; listen [::]:{port};
  {certificate}
  location / {{ return 200 "{name} client=$remote_addr server=$server_addr\\n"; }} }} }}
"""


class Host:
    """The servers of the example, as its comments say they are started."""

    def __init__(self, world, daemon, service, machine, directory, sockets, site):
        self.world, self.service, self.directory, self.site = world, service, directory, site
        # As the daemon's directory is the test's and not /run/socketbox.
        self.daemon = daemon(EXAMPLE.read_text().replace("/run/socketbox/", f"{sockets}/"))
        self.machine = mailbox_machine(machine, private=[*Postfix.PRIVATE, *Dovecot.PRIVATE])
        self.maildir = self.machine.path(f"/var/local/{USER}/Maildir")
        self.services = {}

    def start(self, name, command, *options, **more):
        self.services[name] = self.service(self.daemon, name, command, *options, **more)

    def start_mail(self):
        """With a directory of messages, which can be read while messages are delivered; a file has to be locked."""
        Postfix.configure(self.machine, "smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth",
                          "home_mailbox=Maildir/")
        Dovecot.configure(self.machine)
        self.machine.write("/etc/dovecot/local.conf", "mail_location = maildir:~/Maildir\n")
        mailbox.Maildir(self.maildir, create=True)
        for directory in [self.maildir, *self.maildir.iterdir()]:
            shutil.chown(directory, self.maildir.parent.stat().st_uid)
        self.start("smtp", Postfix.COMMAND, prefix=self.machine.prefix)
        self.wait("smtp", MAIL6, 25, 587)  # has made the directory in which Dovecot authenticates for it
        self.start("imap", Dovecot.COMMAND, prefix=self.machine.prefix)
        self.wait("imap", MAIL6, 143, 110)

    def start_web(self):
        names = "subjectAltName=DNS:shop.example.org,DNS:blog.example.org"
        self.world.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "30", "-subj", "/CN=example.org", "-addext", names, "-out", self.directory / "web.crt",
                        "-keyout", self.directory / "web.key"])
        certificate = f"ssl_certificate {self.directory}/web.crt; ssl_certificate_key {self.directory}/web.key;"
        self.start_nginx("www", "80")
        self.start_nginx("shop", "443 ssl", certificate, "--preload")
        self.start_nginx("blog", "443 ssl", certificate, "--preload")
        self.services["www"].ready(f"http://[{WEB6}]/", timeout=60)
        for name in "shop", "blog":
            until(lambda name=name: self.world.curl(
                f"https://{name}.example.org/", "--resolve", f"{name}.example.org:443:{WEB6}", "--cacert",
                self.directory / "web.crt", check=False), 60, f"{name} answers ({self.services[name].log()})")

    def start_nginx(self, name, port, certificate="", *options):
        conf = self.directory / f"{name}.conf"
        conf.write_text(NGINX.format(directory=self.directory, name=name, port=port, certificate=certificate))
        self.start(name, [require.command("nginx"), "-c", conf, "-g", "daemon off;"], *options,
                   env={"SOCKETBOX_PRELOAD_LIBRARY": str(paths.PRELOAD)})

    def start_dns(self):
        conf = self.directory / "unbound.conf"
        conf.write_text(test_unbound.CONFIG.format(
            directory=self.directory, interfaces=f"interface: {V4}\n  interface: {DNS6}", name=NAME, answer=ANSWER,
            answer_v6=ANSWER_V6))
        self.start("dns", [require.command("unbound"), "-d", "-c", conf])
        until(lambda: dig(self.world, DNS6, check=False) == ANSWER, 60, "unbound answers")

    def wait(self, name, address, *ports):
        for port in ports:
            until(lambda port=port: answers(self.world, address, port, GREETINGS[port]), 60,
                  f"{name} on port {port} ({self.services[name].log()} {self.machine.syslog.text()[-2000:]})")


@pytest.fixture
def host(world, daemon, service, machine, tmp_path):
    """All servers, answering."""
    with Directory() as sockets, ftp.site("anonymous", "someone@example.org") as site:
        made = Host(world, daemon, service, machine, tmp_path, sockets, site)
        made.start_mail()
        made.start_web()
        made.start("ssh", test_openssh.configure(tmp_path))
        made.wait("ssh", SSH6, 22)
        made.start_dns()
        made.start("ftp", test_vsftpd.configure(tmp_path, site, test_vsftpd.PASSIVE))
        made.wait("ftp", FTP6, 21)
        yield made
        made.services["smtp"].stop()  # else Dovecot waits for those whom it authenticates for
        world.stop()


def kinds(host, sent):
    """What the visitors of each service do, at the address that it shares and at its own."""
    world, certificate, directory, site = host.world, host.directory / "web.crt", host.directory, host.site
    services = [
        ("smtp", MAIL6, lambda address: whole_host.mail(address, sent)),
        ("imap", MAIL6, whole_host.inbox),
        ("http", WEB6, lambda address: whole_host.http(world, address)),
        ("https", WEB6, lambda address: whole_host.https(world, address, certificate)),
        ("ssh", SSH6, lambda address: whole_host.shell(world, address, directory)),
        ("dns", DNS6, lambda address: whole_host.names(world, address)),
        ("ftp", FTP6, lambda address: whole_host.files(address, site)),
    ]
    return {f"{name} at {address}": visit(address) for name, own, visit in services for address in (V4, own)}


def reload_every_second(host):
    """Adds, moves and takes away a route and a service, for a minute; returns how often. Each is in force at once."""
    extra = host.directory / "services.d" / "extra.yaml"
    extra.parent.mkdir()
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        next_second, port = time.monotonic() + 1, 8000 + count
        if count % 3 == 2:
            extra.unlink()
        else:
            extra.write_text(f"services: {{extra{count}: }}\nroutes:\n"
                             f'  - {{to: "{V6}", port: {port}, service: www, target-port: 80}}\n'
                             f'  - {{to: "{V6}", port: 9000, service: extra{count}}}\n')
        host.daemon.reload()
        count += 1
        page = host.world.curl(f"http://[{V6}]:{port}/", check=False)
        assert page.startswith("www client=") == extra.exists(), page
        time.sleep(max(0, next_second - time.monotonic()))
    return count


def check_isolated(host):
    """Each server is in a network namespace of its own, in which nothing is but lo."""
    namespaces = {os.stat(f"/proc/{service.program}/ns/net").st_ino for service in host.services.values()}
    assert len(namespaces) == len(host.services)
    for service in host.services.values():
        names = host.world.run(["nsenter", "-t", service.program, "-n", "ip", "-brief", "link"]).stdout
        assert [line.split()[0] for line in names.splitlines()] == ["lo"]


def messages(host):
    return list(mailbox.Maildir(host.maildir))


def check_first_messages(host):
    """Postfix knows the true client."""
    for address, client in (V4, CLIENT_V4), (MAIL6, CLIENT_V6):
        subject = f"the first message to {address}"
        swaks(host.world, address, subject)
        until(lambda subject=subject: subject in [message["Subject"] for message in messages(host)], 60, subject)
        message, = (message for message in messages(host) if message["Subject"] == subject)
        assert received_from(message) == client


def check_mailbox(host, sent):
    """Every message that Postfix has taken is in the mailbox, once."""
    def subjects():
        found = collections.Counter(message["Subject"] for message in messages(host))
        return found if set(sent) <= set(found) else None

    found = until(subjects, 120, f"delivery of {len(sent)} messages ({host.machine.syslog.text()[-2000:]})")
    assert set(found.values()) == {1} and len(set(sent)) == len(sent)


def test_whole_host(host, row):
    check_first_messages(host)
    check_isolated(host)
    sent = []
    with whole_host.visitors(host.world, kinds(host, sent)) as visitors:
        reloads = reload_every_second(host)
    assert [error for visitor in visitors for error in visitor.errors] == []
    assert min(visitor.count for visitor in visitors) >= 3
    assert reloads >= 10
    check_mailbox(host, sent)
    check_isolated(host)
    assert all(service.process.running() for service in host.services.values())
    row("Postfix, Dovecot, nginx, sshd, unbound and vsftpd at once", "as alone", "`examples/whole-host.yaml`: for a "
        "minute under clients of every kind, with a reload every second and nothing lost", "claim, handoff")
