# SPDX-License-Identifier: BSD-2-Clause
"""The clients of test_whole_host.py: each kind of them comes again and again, for as long as the test likes, and looks at
what it gets. They leave the machine time for the servers."""
import contextlib
import email.message
import ftplib
import hashlib
import imaplib
import io
import itertools
import smtplib
import socket
import ssl
import threading
import time

from compat.datagrams import ANSWER, EXPECTED, QUERY, dig
from compat.mail import PASSWORD, USER
from compat.server import CLIENTS
from compat.test_openssh import connection_seen
from support.load import Load
from support.load import lost as lost_connections
from support.queries import Queries
from support.queries import lost as lost_queries
from support.traffic import connect, family_of, in_namespace
from support.world import CLIENT_V4, CLIENT_V6, V4

PAUSE = 0.1  # s, between the visits of one client


def client_of(address):
    return CLIENTS.get(address) or CLIENT_V6


class Visitor:
    """Calls visit(n), n = 0, 1, 2..., in a thread in the client's namespace until ended is set, and keeps what went wrong."""

    def __init__(self, world, name, visit):
        self.world, self.name, self.visit = world, name, visit
        self.count, self.errors, self.ended = 0, [], threading.Event()
        self.thread = threading.Thread(target=lambda: in_namespace(world.client, self._run))
        self.thread.start()

    def _run(self):
        for number in itertools.count():
            try:
                self.visit(number)
                self.count += 1
            except Exception as error:  # pylint: disable=broad-except  # every kind of failure is one
                self.errors.append(f"{self.name}, visit {number}: {error!r}")
            if self.ended.wait(PAUSE):
                return


def http(world, address):
    """Bursts of short connections; each page has both addresses."""
    def visit(_):
        result = Load(world, address, count=100, concurrency=4,
                      expect=f"www client={client_of(address)} server={address}\n").result()
        assert (result["ok"], lost_connections(result)) == (100, {})
    return visit


def https(world, address, certificate):
    """A TLS connection for each of the names in turn: the right server's certificate and page."""
    context = ssl.create_default_context(cafile=certificate)

    def visit(number):
        name = ("blog", "shop")[number % 2]
        with contextlib.closing(connect(world, address, 443, timeout=30)) as raw, \
                context.wrap_socket(raw, server_hostname=f"{name}.example.org") as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            page = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        assert page.endswith(f"{name} client={client_of(address)} server={address}\n"), page
    return visit


def mail(address, sent):
    """Messages by 25 and, with STARTTLS and a login, by 587; sent gets their subjects."""
    insecure = ssl._create_unverified_context()  # pylint: disable=protected-access  # the certificate names no address

    def visit(number):
        message = email.message.EmailMessage()
        message["Subject"] = f"{number} to {address}"
        message.set_content(f"The text of {number}.")
        with smtplib.SMTP(address, (25, 587)[number % 2], "client.example.org", timeout=60) as server:
            if number % 2:
                server.starttls(context=insecure)
                server.login(USER, PASSWORD)
            assert server.send_message(message, "bob@client.example.org", f"{USER}@example.org") == {}
        sent.append(message["Subject"])
    return visit


def inbox(address):
    """Reads the first message of the mailbox."""
    def visit(_):
        with imaplib.IMAP4(address, timeout=60) as server:
            server.starttls()
            server.login(USER, PASSWORD)
            status, _ = server.select("INBOX", readonly=True)
            assert status == "OK"
            status, found = server.fetch("1", "(BODY.PEEK[TEXT])")
            assert status == "OK" and b"The text of the first message to " in found[0][1], found
    return visit


def shell(world, address, directory):
    def visit(_):
        seen = connection_seen(world, directory, address)
        assert (seen[0], seen[2], seen[3]) == (client_of(address), address, "22")
    return visit


def names(world, address):
    """Bursts of queries over UDP, each tried once, and one over TCP."""
    def visit(_):
        result = Queries(world, address, 53, QUERY, EXPECTED, count=100, concurrency=4).result()
        assert (result["ok"], lost_queries(result)) == (100, {})
        assert dig(world, address, "+tcp") == ANSWER
    return visit


def files(address, site):
    """Downloads, uploads and lists, in passive and active mode by turns."""
    digest = hashlib.sha256(site.data).digest()

    def visit(number):
        got = io.BytesIO()
        with ftplib.FTP(timeout=60) as server:
            server.connect(address, 21)
            server.login(site.user, site.password)
            server.set_pasv(number % 2 == 0)
            server.retrbinary("RETR file", got.write)
            assert hashlib.sha256(got.getvalue()).digest() == digest
            name = f"{family_of(address).name}-{number}"
            server.storbinary(f"STOR uploads/{name}", io.BytesIO(site.data))
            assert f"uploads/{name}" in server.nlst("uploads")
        assert site.uploaded(name) == site.data
    return visit


@contextlib.contextmanager
def visitors(world, kinds):
    """Has all of {name: visit} come at once; yields the visitors, and waits for their end."""
    made = [Visitor(world, name, visit) for name, visit in kinds.items()]
    try:
        yield made
    finally:
        for each in made:
            each.ended.set()
        for each in made:
            each.thread.join()
