# SPDX-License-Identifier: BSD-2-Clause
"""A program on a terminal of its own (a pty), and what it shows there."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

from .process import until

HOME = b"\x1b[H"
OTHER_PAGE, USUAL_PAGE = b"\x1b[?1049h", b"\x1b[?1049l"
SEQUENCE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    def __init__(self, command, width=80, height=24, env=None):
        self.ours, self.theirs = pty.openpty()
        self.output = b""
        self.resize(width, height)
        self.before = self.settings()
        self.popen = subprocess.Popen(
            [str(word) for word in command], stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, env=env,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.ours, 65536)
            except OSError:
                return
            self.output += data

    def settings(self):
        return termios.tcgetattr(self.theirs)

    def echoes(self):
        return bool(self.settings()[3] & termios.ECHO)

    def resize(self, width, height):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, keys):
        os.write(self.ours, keys)

    def pages(self):
        """What came since each time that the program began at the top left corner; the last may be incomplete."""
        return self.output.split(HOME)[1:]

    def lines(self):
        """The lines of the last complete page."""
        return [SEQUENCE.sub(b"", line).decode().rstrip("\r") for line in self.pages()[-2].split(b"\n")]

    def shows(self, text, timeout=30):
        """Waits for a page that begins after this call and has the text."""
        seen = len(self.pages())
        until(lambda: len(self.pages()) > seen + 2 and text in "\n".join(self.lines()), timeout,
              f"the terminal shows {text!r}: {self.output[-2000:]}")

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        os.close(self.theirs)
        self.reader.join(10)
        os.close(self.ours)
