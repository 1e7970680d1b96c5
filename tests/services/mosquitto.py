"""Debian's mosquitto, with what it keeps in a directory of the test's, so that it can be killed and started again."""

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

from services import ports

PROGRAM = "/usr/sbin/mosquitto"
KEEPS = ("persistence true", "autosave_on_changes true", "autosave_interval 1", "max_queued_messages 100000")


def obstacle():
    """Why it cannot run here, or None."""
    return (
        None
        if Path(PROGRAM).exists() and shutil.which("mosquitto_pub")
        else "not installed: mosquitto, mosquitto-clients"
    )


def keeps_for(state, source):
    """Whether a broker keeps messages for that source from now on: its filters are in the file of its session, which
    they are once the broker has taken them."""
    with contextlib.suppress(FileNotFoundError):
        return len((Path(state) / f"mqtt-{source}.session").read_text().splitlines()) > 1
    return False


class Mosquitto:
    def __init__(self, directory, lines=(), keeps=KEEPS):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = ports.free_port()
        self.process = None
        self.config = self.directory / "mosquitto.conf"
        self.config.write_text(
            "\n".join(
                [
                    "user root",
                    f"persistence_location {self.directory}/",
                    *keeps,
                    f"listener {self.port} 127.0.0.1",
                    "allow_anonymous true",
                    *lines,
                ]
            )
            + "\n"
        )

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "-c", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((ports.HOST, self.port), 1):
                return self
            time.sleep(0.01)
        raise RuntimeError(f"mosquitto does not listen; exit code {self.process.poll()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def publish(self, topic, *payloads, qos=1):
        """One after the other; returns, with QoS 1, when the broker has them all."""
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", str(qos), "-t", topic, "-l"],
            input="\n".join(payloads) + "\n",
            text=True,
            check=True,
            timeout=180,
        )

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
