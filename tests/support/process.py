# SPDX-License-Identifier: BSD-2-Clause
"""Processes of a test: their output goes to files, and they end with the test."""
import os
import pathlib
import signal
import subprocess
import tempfile
import time


class Process:
    """A program in the background. Its log holds stdout and stderr. With group, signals go to all of its process
    group, as a terminal's do."""

    def __init__(self, command, log, netns=None, env=None, cwd=None, group=False, pass_fds=()):
        self.group = group
        self.log_path = log
        prefix = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        self.command = prefix + [str(word) for word in command]
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd=cwd,
                pass_fds=pass_fds, start_new_session=True)  # some servers signal their whole process group, and stop() may have to

    @property
    def pid(self):
        return self.popen.pid  # nsenter executes the program in its own process

    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.group:
            os.killpg(self.pid, number)
        else:
            self.popen.send_signal(number)

    def pause(self):
        """SIGSTOP; returns when it does nothing any more."""
        self.send(signal.SIGSTOP)
        until(lambda: pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1][0] == "T")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, timeout=30):
        return self.popen.wait(timeout)

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Ends the program, by force if it does not go; returns its status."""
        if self.running():
            self.send(number)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.popen.wait()
        return self.popen.returncode


def run(words, timeout=60, env=None, check=False):
    """subprocess.run with what the command prints as text. It goes through files: a pipe has its end only when nobody
    has it open any more, and processes that the command leaves behind, or that another test starts meanwhile, may."""
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        result = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                timeout=timeout, env=env, check=False)
        for file in out, err:
            file.seek(0)
        result.stdout, result.stderr = out.read(), err.read()
    if check and result.returncode:
        raise AssertionError(f"{words} exited {result.returncode}: {result.stderr}{result.stdout}")
    return result


def until(condition, timeout=30, what="condition"):
    """Waits until condition() is true, and returns its value. The timeout is for a machine that is busy with other
    tests, on which the start of a daemon alone can take ten seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)
