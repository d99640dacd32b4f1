# SPDX-License-Identifier: BSD-2-Clause
# Packages: php-cli
"""PHP's built-in server, alone and with workers that share the listener."""
import signal

import pytest

from compat.server import check_all, check_descriptors, version
from support import require


@pytest.mark.parametrize("workers", [1, 3])
def test_php(world, daemon, service, row, tmp_path, workers):
    php = require.command("php")
    (tmp_path / "index.php").write_text('client=<?= $_SERVER["REMOTE_ADDR"] ?>\n')
    # Its workers go on where the signal is for it alone.
    check_all(world, daemon, service, [php, "-q", "-S", "[::]:80", "-t", tmp_path], addresses=check_descriptors,
              restart=signal.SIGINT, group=True, graceful=False, env={"PHP_CLI_SERVER_WORKERS": str(workers)} if workers > 1 else {})
    row("PHP `-S`" + (f" with {workers} workers" if workers > 1 else ""), version(php, "--version"),
        "`PHP_CLI_SERVER_WORKERS`" if workers > 1 else "")
