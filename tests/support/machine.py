# SPDX-License-Identifier: BSD-2-Clause
"""A service's own files. Servers that are configured in /etc and keep their state in /var, with users who have
passwords and mailboxes, run in a mount namespace in which these are the test's: with their stock configuration at its
stock place, beside each other and beside whatever the real machine has. What they log by syslog(3), the test can read."""
import os
import pathlib
import shlex
import socket
import subprocess
import tempfile
import threading

from . import paths
from .launch import OWN_ROOT

HOSTNAME = "mail.example.org"
PRIVATE = ("/etc", "/run", "/var/local", "/var/log", "/var/mail", "/var/spool")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
SECRET = ("./shadow*", "./gshadow*", "./ssh", "./ssl/private")


class Machine:
    """Its directory holds what the service sees: directory/etc is /etc, and so on. With unpacked=True, the
    packages of tools/install-deps' lines "# Unpacked:" look installed."""

    def __init__(self, directory, unpacked=False, private=()):
        self.directory = pathlib.Path(directory)
        self.unpacked = unpacked
        self.private = [*PRIVATE, *private]
        for path in self.private:
            self.path(path).mkdir(parents=True)
        self.path("/dev").mkdir()
        self._open()
        self._fill_etc()
        self.path("/run/lock").mkdir()
        os.chown(self.path("/var/mail"), 0, 8)  # mail
        self.path("/var/mail").chmod(0o2775)
        self.syslog = Syslog(self.directory)
        self.prefix = [*OWN_ROOT, "unshare", "--mount", "--propagation", "private", self._write_enter()]

    def path(self, path):
        """Where a file of the service's is for everyone else."""
        return self.directory / path.lstrip("/")

    def _open(self):
        """Lets the service's users reach their files."""
        for directory in [self.directory, *self.directory.parents]:
            if directory.stat().st_uid == os.getuid() and str(directory).startswith(tempfile.gettempdir() + "/"):
                directory.chmod(directory.stat().st_mode | 0o011)

    def _fill_etc(self):
        sources = ["/etc", *([str(paths.UNPACKED / "etc")] if self.unpacked else [])]
        for source in sources:
            packed = subprocess.run(  # not checked: a file may change meanwhile, as when a package is installed
                ["tar", "-C", source, *(f"--exclude={name}" for name in SECRET), "-c", "."],
                check=False, capture_output=True).stdout
            subprocess.run(["tar", "-C", self.path("/etc"), "-x"], input=packed, check=True)
        for name in ("resolv.conf", "hosts"):
            self.path(f"/etc/{name}").unlink(missing_ok=True)
        self.write("/etc/resolv.conf", "")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n192.0.2.1 {HOSTNAME}\n2001:db8::1 {HOSTNAME}\n"
                                 "192.0.2.100 client.example.org\n2001:db8::100 client.example.org\n")
        self.write("/etc/mailname", "example.org\n")
        self.write("/etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)

    def write(self, path, text, mode=0o644, append=False):
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a" if append else "w") as file:
            file.write(text)
        target.chmod(mode)

    def add_user(self, name, number, password=None):
        """A user and the group of the same name, with a home in /var/local."""
        home = f"/var/local/{name}"
        secret = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, text=True, check=True,
                                capture_output=True).stdout.strip() if password else "*"
        self.write("/etc/passwd", f"{name}:x:{number}:{number}::{home}:/bin/sh\n", append=True)
        self.write("/etc/group", f"{name}:x:{number}:\n", append=True)
        self.write("/etc/shadow", f"{name}:{secret}:19000:0:99999:7:::\n", 0o600, append=True)
        self.path(home).mkdir()
        os.chown(self.path(home), number, number)

    def certificate(self, certificate, key):
        """A self-signed one for the machine's name."""
        for path in (certificate, key):
            self.path(path).parent.mkdir(parents=True, exist_ok=True)
            self.path(path).unlink(missing_ok=True)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
                        f"/CN={HOSTNAME}", "-addext", f"subjectAltName=DNS:{HOSTNAME}", "-out", self.path(certificate),
                        "-keyout", self.path(key)], check=True, capture_output=True)

    def _write_enter(self):
        """Writes the program that, in a mount namespace of its own, puts the files in place and starts the service."""
        lines = ["#!/bin/sh", "set -e"]

        def bind(source, target):
            lines.append(f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(target))}")

        dev = self.path("/dev")
        lines.append(f"mount -t tmpfs -o mode=755 dev {shlex.quote(str(dev))}")
        lines.append(f"mkdir -m 1777 {shlex.quote(str(dev / 'shm'))}")
        lines.append(f"ln -s /proc/self/fd {shlex.quote(str(dev / 'fd'))}")
        for name, source in [("log", self.syslog.path), *((name, f"/dev/{name}") for name in DEVICES)]:
            lines.append(f": >{shlex.quote(str(dev / name))}")
            bind(source, dev / name)
        lines.append(f"mount --move {shlex.quote(str(dev))} /dev")
        if self.unpacked:
            lines.append(f"mount -t overlay -o lowerdir={paths.UNPACKED}/usr:/usr usr /usr")
        for path in self.private:
            bind(self.path(path), path)
        lines.append('exec "$@"')
        enter = self.directory / "enter"
        enter.write_text("\n".join(lines) + "\n")
        enter.chmod(0o755)
        return enter

    def prepare(self, *command):
        """Runs a command with the machine's files, before the service starts, to its end."""
        return self._run([*self.prefix, *command])

    def run(self, service, *command):
        """Runs a command beside the service, in its namespaces."""
        return self._run(["nsenter", "--target", str(service.program), "--mount", "--net", "--root", "--wd=/", *command])

    @staticmethod
    def _run(command):
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)
        if result.returncode:
            raise AssertionError(f"{command} exited {result.returncode}: {result.stderr}{result.stdout}")
        return result.stdout

    def close(self):
        """After its services have ended."""
        self.syslog.close()


class Syslog:
    """The machine's /dev/log; writes what comes to mail.log."""

    def __init__(self, directory):
        self.path, self.log_path = directory / "syslog", directory / "mail.log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.log_path.touch()
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _write(self):
        with self.log_path.open("ab", buffering=0) as file:
            while line := self.socket.recv(8192):
                file.write(line.rstrip(b"\0\n") + b"\n")

    def text(self):
        return self.log_path.read_text(errors="replace")

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self.thread.join()
        self.socket.close()
