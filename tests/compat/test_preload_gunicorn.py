# SPDX-License-Identifier: BSD-2-Clause
# Packages: gunicorn
"""gunicorn under the preload library: forked workers that share a non-blocking listener, a reload that replaces them."""
import signal

from compat.preload import check_all, preloaded  # noqa: F401
from compat.server import check_reload, version
from support import require

APPLICATION = """
def application(environ, start_response):
    server = environ["gunicorn.socket"].getsockname()[0]
    text = f"client={environ['REMOTE_ADDR']} server={server}\\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"""


def test_gunicorn(world, preloaded, row, tmp_path):  # noqa: F811
    gunicorn = require.command("gunicorn")
    (tmp_path / "page.py").write_text(APPLICATION)
    server = preloaded()
    check_all(world, server, [gunicorn, "--chdir", tmp_path, "-w", "2", "-b", "[::]:80", "page"])
    check_reload(world, lambda: server.process.send(signal.SIGHUP))
    assert "Listening at: http://[::]:80" in server.log()
    row("gunicorn", version(gunicorn, "--version"), "2 workers, `-b [::]:80`, reload under load", "preload")
