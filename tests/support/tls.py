# SPDX-License-Identifier: BSD-2-Clause
"""Certificates, and a client that counts what goes wrong with TLS connections: this file, run in the client's
namespace."""
import argparse
import asyncio
import collections
import contextlib
import json
import signal
import ssl
import subprocess

TIMEOUT = 60
HANDSHAKES = 30  # at once: a client that takes long to send its ClientHello is taken for one that has none


def certificate(directory, name):
    """A self-signed certificate for a DNS name; the paths of it and of its key."""
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2",
                    "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def hello_of(name, alpn=()):
    """A ClientHello as OpenSSL makes it, the last of (tls, incoming, outgoing, hello)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing, outgoing.read()


class TlsLoad:
    """TLS connections from now on, so many at once, each verified and asked for a page that must hold its server's
    name. names: {name: certificate}. With count, all are open together; else they follow each other until stop()."""

    def __init__(self, world, address, names, count=None, concurrency=8):
        words = ["--address", address, *(["--count", count] if count else ["--concurrency", concurrency])]
        words += [word for pair in names.items() for word in pair]
        self.popen = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{world.client}", "/usr/bin/python3", __file__, *map(str, words)],
            stdout=subprocess.PIPE, text=True)

    def stop(self):
        """Starts no more connections; result() then waits for those under way."""
        self.popen.terminate()

    def result(self):
        """How often each thing happened; "ok" is one."""
        return json.loads(self.popen.communicate(timeout=180)[0])


class _Client:
    def __init__(self, options):
        self.address = options.address
        pairs = list(zip(options.names[::2], options.names[1::2]))
        self.names = [(name, ssl.create_default_context(cafile=path)) for name, path in pairs]
        self.counts = collections.Counter()
        self.stopped = False
        self.handshakes = asyncio.Semaphore(HANDSHAKES)
        self.to_open = options.count or 0
        self.all_open = asyncio.Event()

    async def one(self, number):
        name, context = self.names[number % len(self.names)]
        try:
            self.counts[await asyncio.wait_for(self.page(name, context), 2 * TIMEOUT)] += 1
        except (OSError, asyncio.TimeoutError) as error:
            self.counts[f"{type(error).__name__}: {error}"] += 1

    async def open(self, name, context):
        """Waits, too, until all that shall be open together are, or have failed."""
        try:
            async with self.handshakes:
                return await asyncio.open_connection(self.address, 443, ssl=context, server_hostname=name,
                                                     ssl_handshake_timeout=TIMEOUT)
        finally:
            self.to_open -= 1
            if self.to_open <= 0:
                self.all_open.set()

    async def page(self, name, context):
        reader, writer = await self.open(name, context)
        await self.all_open.wait()
        writer.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        page = (await reader.read()).decode()
        writer.close()
        return "ok" if f"name={name} " in page else f"wrong: {page[-200:]!r}"

    async def follow(self, number):
        while not self.stopped:
            await self.one(number)

    def stop(self):
        self.stopped = True

    async def run(self, options):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        if options.count:
            await asyncio.gather(*map(self.one, range(options.count)))
        else:
            await asyncio.gather(*map(self.follow, range(options.concurrency)))


async def _run(options):
    client = _Client(options)
    await client.run(options)
    return client.counts


def _main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address")
    parser.add_argument("--count", type=int)
    parser.add_argument("--concurrency", type=int)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(_run(options))))


if __name__ == "__main__":
    _main()
