# SPDX-License-Identifier: BSD-2-Clause
# Packages: swaks libnet-ssleay-perl libio-socket-inet6-perl openssl
# Unpacked: exim4-daemon-light
"""Exim's exim4 -bs, started for each connection: it delivers from there, setuid root."""
import re

from compat.executed import Executed, check_reload
from compat.mail import SMTP, check_addresses, check_parallel
from compat.streams import Exchange
from compat.test_exim import check_delivery, exim_machine

QUIT = Exchange(25, SMTP["request"], SMTP["expect"])


def test_exim(world, daemon, machine, row):
    files = exim_machine(machine)
    started = Executed(world, daemon, 25, ["exim4", "-bs"], prefix=files.prefix)
    check_delivery(world, files, "in plain text")
    check_delivery(world, files, "with STARTTLS", 25, "--tls")
    check_addresses(world, started, 25, "220 ")
    check_parallel(world, 25, SMTP, concurrency=8)
    check_reload(world, started, QUIT, greeted=True)
    check_delivery(world, files, "after the reloads")
    row("Exim `exim4 -bs`", re.search(r"Exim version (\S+)", files.prepare("exim4", "-bV")).group(1),
        "25 with STARTTLS, mail delivered and `Received:` right, reload of the daemon under load", "exec")
