# SPDX-License-Identifier: BSD-2-Clause
"""Claims over the control socket, with the Python client of the examples."""
from support import paths
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

CONFIG = {"services": {"a": {}},
          "routes": [{"to": [V4, V6], "port": 80, "service": "a"}]}


def test_example_client_serves_both_families(world, daemon):
    d = daemon(CONFIG)
    world.start(["unshare", "-n", "/usr/bin/python3", paths.EXAMPLES / "claim.py", "a", "80"], "claim",
                env={"SOCKETBOX_CONTROL": str(d.control)})
    from support.process import until
    until(lambda: world.curl(f"http://{V4}/", check=False))
    assert world.curl(f"http://{V4}/") == f"::ffff:{CLIENT_V4} reached ::ffff:{V4}\n"
    assert world.curl(f"http://[{V6}]/") == f"{CLIENT_V6} reached {V6}\n"
