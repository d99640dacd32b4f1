# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark by size, with small numbers: that it measures all that it says."""
import json
import subprocess

from support import paths

CLAIMED = ("claim", "explain", "release", "death", "native", "reload", "status")


def test_each_operation_is_measured():
    result = subprocess.run([paths.SOURCE / "bench" / "scale.py", "--quick", "--json"], capture_output=True, text=True,
                            timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [(row["services"], row["routes"], row["claims"]) for row in rows] == [(10, 10, 10), (30, 100, 30)]
    for row in rows:
        assert not row.get("why") and not row.get("why_not_accepted")
        assert row["load_s"] > 0 and row["peak_mib"] >= row["memory_mib"] > 0
        for operation in (*CLAIMED, "accepted"):
            assert row[operation]["cpu_us"] > 0 and row[operation]["count"] >= 3, operation
            assert not row[operation]["stalled"]
            if operation != "native":
                assert row[operation]["turn_ms"] >= row[operation]["turn_cpu_ms"] > 0
                assert row[operation]["turn_cpu_ms"] < (200 if paths.SANITIZED else 20)
