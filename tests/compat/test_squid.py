# SPDX-License-Identifier: BSD-2-Clause
# Packages: squid
"""Squid as an accelerator: alone, and with SMP workers, whose coordinator opens the socket and passes it to them; its
origin is on the loopback interface of the service's empty namespace."""
import os
import pathlib
import shutil
import signal

import pytest

from compat.server import check_all, check_reload, version
from support import require

# The origin listens, then becomes the child of Squid, and ends with it.
ORIGIN = """
import http.server, os, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "5")
        self.send_header("Cache-Control", "max-age=3600"); self.end_headers()
        self.wfile.write(b"page\\n")
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
server = Server(("127.0.0.1", 8080), Handler)
squid = os.getpid()
if os.fork():
    os.execv(sys.argv[1], sys.argv[1:])
threading.Thread(target=server.serve_forever, daemon=True).start()
while os.getppid() == squid:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_squid(world, daemon, service, row, open_path, workers):
    squid = require.command("squid")
    name = f"sb{os.getpid()}w{workers}"
    directory = pathlib.Path("/run/squid")  # compiled in: the sockets between workers
    directory.mkdir(exist_ok=True)
    shutil.chown(directory, "proxy", "proxy")
    shutil.chown(open_path, "proxy", "proxy")
    (open_path / "squid.conf").write_text(f"""
workers {workers}
pid_filename {open_path}/squid.pid
cache_log {open_path}/cache.log
access_log none
coredump_dir {open_path}
visible_hostname test
shutdown_lifetime 1 second
pinger_enable off
http_port 80 accel defaultsite=127.0.0.1
cache_peer 127.0.0.1 parent 8080 0 no-query no-digest originserver
never_direct allow all
cache_mem 8 MB
http_access allow all
reply_header_add X-Seen "client=%>a server=%>la" all
""")
    command = ["/usr/bin/python3", "-c", ORIGIN,
               squid, "--foreground", "-n", name, "-f", open_path / "squid.conf"]
    try:
        started = check_all(world, daemon, service, command, graceful=False)
        check_reload(world, lambda: started.process.send(signal.SIGHUP))
        started.stop()
    finally:
        for left in [*directory.glob(f"{name}*"), *pathlib.Path("/dev/shm").glob(f"{name}*")]:
            left.unlink()
    row("Squid" + (f" with {workers} SMP workers" if workers > 1 else ""), version(squid, "-v"),
        "accelerator, `http_port 80`, reconfigure under load")
