# SPDX-License-Identifier: BSD-2-Clause
# Packages: gunicorn
"""gunicorn: pre-forked workers, and a reload that replaces them."""
import signal

from compat.server import check_all, check_reload, version
from support import require

APPLICATION = """
def application(environ, start_response):
    server = environ["gunicorn.socket"].getsockname()[0]
    text = f"client={environ['REMOTE_ADDR']} server={server}\\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"""


def test_gunicorn(world, daemon, service, row, tmp_path):
    gunicorn = require.command("gunicorn")
    (tmp_path / "page.py").write_text(APPLICATION)
    started = check_all(world, daemon, service,
                        [gunicorn, "--chdir", tmp_path, "-w", "2", "-b", "[::]:80", "page"])
    check_reload(world, lambda: started.process.send(signal.SIGHUP))
    row("gunicorn", version(gunicorn, "--version"), "2 workers, `-b [::]:80`, graceful stop, reload under load")
