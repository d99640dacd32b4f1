# SPDX-License-Identifier: BSD-2-Clause
# Packages: python3-uvicorn
"""uvicorn: one process with a socket for each family, and workers that inherit one for both."""
import pytest

from compat.server import check_all, version

APPLICATION = """
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    text = f"client={scope['client'][0]} server={scope['server'][0]}\\n".encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(text)).encode()), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text})
"""


@pytest.mark.parametrize("options,name,also", [
    (["--host", ""], "uvicorn", "`--host ''`: a socket for each family"),
    (["--host", "::", "--workers", "2"], "uvicorn with 2 workers", "`--host ::`"),
], ids=["alone", "workers"])
def test_uvicorn(world, daemon, service, row, tmp_path, options, name, also):
    (tmp_path / "page.py").write_text(APPLICATION)
    uvicorn = ["/usr/bin/python3", "-m", "uvicorn"]
    # It finishes the requests that it has begun to read when it is stopped, and resets the connections before that.
    check_all(world, daemon, service, [*uvicorn, "--app-dir", tmp_path, "--port", "80", "--no-access-log", *options,
                                       "page:application"], graceful=False)
    row(name, version(*uvicorn, "--version", pattern=r"uvicorn (\S+)"), also)
