"""Foreign servers (not written in Python, or not ours) as child processes: a log file, an orderly end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from services.service import EndSignal, wait_until


class Child:
    """A process in its own process group; its output goes to a file. Start raises RuntimeError with the output's end if
    it fails."""

    def __init__(self, log_file):
        self.log_file = Path(log_file)
        self.process = None

    def start(self, command, answers, timeout, env=None):
        """Starts it and waits until answers() is true."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        try:
            wait_until(lambda: self.process.poll() is not None or answers(), timeout, 0.05)
        except TimeoutError:
            self.end(signal.SIGKILL)
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{command[0]} did not start:\n{self.tail()}")

    def tail(self, size=2000):
        return self.log_file.read_text(errors="replace")[-size:] if self.log_file.exists() else ""

    def end(self, number=signal.SIGTERM, timeout=15):
        """Signals the whole group, SIGKILL when it outlives the timeout; returns the exit code."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        _signal_group(process, number)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            code = process.wait()
        _signal_group(process, signal.SIGKILL)
        return code


def _signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def run(server, url):
    """Runs a server as a program: start, ready line, until SIGTERM or SIGINT."""
    end = EndSignal()
    try:
        server.start()
        print(f"ready {url()}", flush=True)
        end.wait()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        server.stop()
    return 0
