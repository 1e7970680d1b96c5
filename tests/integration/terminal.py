"""A program at a terminal of its own, as a person sits before it: what is shown, what is typed."""

import errno
import os
import pty
import re
import select
import signal
import termios
import time

from harness import PATIENCE


class Terminal:
    """Runs argv on a pseudo-terminal. `shown` is all that it has displayed, echo included."""

    def __init__(self, argv, env, cwd="/"):
        self.shown, self._seen, self.code = "", 0, None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background of a shell
            os.chdir(cwd)
            os.execvpe(argv[0], argv, env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.end()
        os.close(self.fd)

    def _read(self, seconds):
        """False when the other end is closed."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def expect(self, text, patience=None):
        """Waits until that text comes, behind what was expected before; what was shown up to its end is returned."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < deadline and self._read(deadline - time.monotonic()), (
                f"{text!r} did not come: {self.shown[self._seen :]!r}"
            )
        begin, self._seen = self._seen, self.shown.index(text, self._seen) + len(text)
        return self.shown[begin : self._seen]

    def type(self, text):
        os.write(self.fd, text.encode())

    def answer(self, prompt, text=""):
        """Waits for a prompt, types a line; returns what was shown before."""
        before = self.expect(prompt)
        before += self.expect(": ")
        self.type(text + "\n")
        return before

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def end(self, patience=None):
        """Waits for the end; the exit code, or minus the number of the signal."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"goes on: {self.shown[self._seen :]!r}"
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def lines(self, pattern):
        return [line for line in self.shown.splitlines() if re.search(pattern, line)]
