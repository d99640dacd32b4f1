# SPDX-License-Identifier: BSD-2-Clause
# Packages: swaks libnet-ssleay-perl libio-socket-inet6-perl openssl
# Unpacked: exim4-daemon-light
"""Exim's daemon, as Debian configures it for an Internet site: it executes itself anew, setuid root, to deliver."""
import os
import re
import signal

from compat.mail import (ADDRESSES, SMTP, check_addresses, check_parallel, check_under_load, config, delivered,
                         mailbox_machine, ready, received_from, swaks)
from support import require
from support.machine import HOSTNAME
from support.world import V4, V6

EXIM_USER = 61002
# What the package's installation asks for and writes, and what its README says for TLS, also from the start on 465.
SETTINGS = """
dc_eximconfig_configtype='internet'
dc_other_hostnames='example.org'
dc_local_interfaces=''
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
MACROS = f"MAIN_TLS_ENABLE = yes\ntls_on_connect_ports = 465\nMAIN_HARDCODE_PRIMARY_HOSTNAME = {HOSTNAME}\n"
CLIENTS = ((V4, 25, SMTP), (V6, 25, SMTP))
COMMAND = ("exim4", "-bdf", "-q30m", "-oX", "587:465:25", "-oP", "/run/exim4.pid")


def exim_machine(machine):
    require.unpacked("/usr/sbin/exim4")
    require.command("swaks")
    files = mailbox_machine(machine, unpacked=True)
    files.add_user("Debian-exim", EXIM_USER)
    files.write("/etc/exim4/update-exim4.conf.conf", SETTINGS)
    files.write("/etc/exim4/exim4.conf.localmacros", MACROS)
    files.write("/etc/aliases", "postmaster: root\n")
    files.certificate("/etc/exim4/exim.crt", "/etc/exim4/exim.key")
    os.chown(files.path("/etc/exim4/exim.key"), 0, EXIM_USER)
    files.path("/etc/exim4/exim.key").chmod(0o640)
    for directory in ("/var/spool/exim4", "/var/log/exim4"):
        files.path(directory).mkdir()
        os.chown(files.path(directory), EXIM_USER, EXIM_USER)
    files.prepare("update-exim4.conf", "-o", "/etc/exim4/exim4.conf")
    return files


def main_log(machine):
    return machine.path("/var/log/exim4/mainlog").read_text()


def check_delivery(world, machine, tag, port=25, *options):
    for address, client in ADDRESSES:
        subject = f"mail {tag} to {address}"
        swaks(world, address, subject, *options, port=port)
        assert received_from(delivered(machine, subject)) == client
        assert re.search(rf"<= bob@client.example.org H=\(client.example.org\) \[{client}\]", main_log(machine))


def test_exim(world, daemon, service, machine, row):
    files = exim_machine(machine)
    smtp = service(daemon(config(smtp=[25, 465, 587])), "smtp", COMMAND, prefix=files.prefix)
    smtp.machine = files
    ready(world, smtp, {25: "220 "})

    check_delivery(world, files, "in plain text")
    check_delivery(world, files, "with STARTTLS", 587, "--tls")
    check_delivery(world, files, "with TLS", 465, "--tls-on-connect")
    check_addresses(world, smtp, 25, "220 ")
    check_parallel(world, 25, SMTP, concurrency=8)
    check_under_load(world, CLIENTS, lambda: smtp.process.send(signal.SIGHUP))
    assert "SIGHUP received: re-exec daemon" in main_log(files)
    check_under_load(world, CLIENTS, smtp.restart)
    check_delivery(world, files, "after the restart")
    row("Exim (daemon)", re.search(r"Exim version (\S+)", files.prepare("exim4", "-bV")).group(1),
        "25, 465, 587 with STARTTLS, mail delivered (it executes itself setuid root) and `Received:` right, SIGHUP under load")
