# SPDX-License-Identifier: BSD-2-Clause
"""socketbox import: the examples of docs/from-inetd.md, files of real packages, and what is no such file."""
import pathlib
import re
import subprocess

import pytest

from support import paths, require

DOCUMENT = (paths.SOURCE / "docs" / "from-inetd.md").read_text()
BLOCKS = re.findall(r"```(xinetd|systemd|yaml)\n(.*?)```\n", DOCUMENT, re.S)


def socketbox(*words):
    return subprocess.run([paths.CLI, *words], capture_output=True, text=True, timeout=30, check=False)


def load(yaml, directory):
    (directory / "out.yaml").write_text(yaml)
    result = socketbox("check", directory / "out.yaml")
    assert result.returncode == 0, f"{yaml}\n{result.stderr}"


def import_systemd(text, directory):
    socket, service = text.split("\n[Service]\n")
    (directory / "unit.socket").write_text(socket)
    (directory / "unit@.service").write_text("[Service]\n" + service)
    return socketbox("import", "systemd", directory / "unit.socket")


def import_xinetd(text, directory):
    (directory / "x.conf").write_text(text)
    return socketbox("import", "xinetd", directory / "x.conf")


@pytest.mark.parametrize("kind,run", [("xinetd", import_xinetd), ("systemd", import_systemd)])
def test_examples_of_the_document(kind, run, tmp_path):
    pairs = [(text, BLOCKS[i + 1][1]) for i, (found, text) in enumerate(BLOCKS) if found == kind]
    assert pairs
    for text, expected in pairs:
        result = run(text, tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stdout.split("\n", 1)[1] == expected
        notes = re.findall(r"^ *# (.*)$", expected, re.M)
        assert [line.split("warning: ")[1] for line in result.stderr.splitlines()] == notes


def test_configurations_of_the_document_can_be_loaded(tmp_path):
    for kind, text in BLOCKS:
        if kind == "yaml":
            load(text, tmp_path)


def test_files_of_the_xinetd_package(tmp_path):
    """Debian's xinetd.d: services of xinetd's own, disabled; and enabled, as far as that can be."""
    directory = pathlib.Path("/etc/xinetd.d")
    if not directory.exists():
        require.unmet("needs the package xinetd")
    files = [pathlib.Path("/etc/xinetd.conf"), *sorted(directory.iterdir())]
    assert len(files) > 5
    for file in files:
        result = socketbox("import", "xinetd", file)
        assert result.returncode == 0, result.stderr
        load(result.stdout, tmp_path)
    result = import_xinetd((directory / "echo").read_text().replace("disable", "#"), tmp_path)
    assert "# xinetd itself serves it" in result.stdout
    result = import_xinetd((directory / "servers").read_text().replace("disable", "#"), tmp_path)
    assert "servers: not translated" in result.stdout


def test_units_of_this_machine(tmp_path):
    units = [unit for unit in pathlib.Path("/lib/systemd/system").glob("*.socket")]
    if not units:
        require.unmet("needs systemd's units")
    for unit in units:
        result = socketbox("import", "systemd", unit)
        assert result.returncode == 0, f"{unit}: {result.stderr}"
        load(result.stdout, tmp_path)


def test_user_that_is_missing_here_is_kept_and_told(tmp_path):
    result = import_xinetd("service a\n{\n\tport = 1\n\tserver = /bin/x\n\tuser = no-such-user\n}\n", tmp_path)
    assert "      user: no-such-user\n" in result.stdout
    assert "there is no user 'no-such-user' on this machine" in result.stderr
    assert socketbox("check", "/dev/null/x").returncode == 1


@pytest.mark.parametrize("words,status,message", [
    ([], 2, "a kind and a file are needed"),
    (["inetd", "/etc/inetd.conf"], 2, "'inetd' cannot be imported; write xinetd or systemd"),
    (["xinetd", "/nonexistent"], 1, "/nonexistent: No such file or directory"),
    (["systemd", "/etc/passwd"], 1, "'passwd' is not a socket unit; name a file UNIT.socket"),
    (["xinetd", "/etc/passwd"], 1, "/etc/passwd: line 1: neither 'service NAME', 'defaults' nor an include"),
    (["xinetd", "/bin/true"], 1, "/bin/true is not a text file"),
])
def test_what_is_no_such_file(words, status, message):
    result = socketbox("import", *words)
    assert (result.returncode, result.stdout) == (status, "")
    assert f"socketbox import: {message}" in result.stderr
