"""A machine before its first configuration, for `sensorqd init`."""

import os
import subprocess
import uuid
from pathlib import Path

from harness import binary
from terminal import Terminal

TOPIC = "projects/my-project/topics/sensor-data"
DEVICES = 3  # that the source serves


class House:
    """A machine before its first configuration, and what stands around it."""

    def __init__(self, directory, queue, remo, mongodb):
        self.directory, self.queue, self.remo, self.mongodb = Path(directory), queue, remo, mongodb
        queue.service.oauth.assertion_once = False
        self.etc = self.directory / "etc"
        self.etc.mkdir(parents=True)
        self.home = self.directory / "home"
        self.home.mkdir()
        self.database = "db" + uuid.uuid4().hex[:12]
        self.key = self.home / "pubsub-credential.json"
        self.key.write_text(Path(queue.section["credentials_file"]).read_text())
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "MONGOC_DISABLE_SHM": "1",
            **queue.env,
        }
        self.options = [
            "--endpoint",
            queue.url,
            "--ca-file",
            queue.section["ca_file"],
            "--state-dir",
            str(self.directory / "state"),
            "--set",
            f"home.url={remo.url}",
            "--set",
            f"mongodb.database={self.database}",
        ]

    def command(self, *arguments):
        return [binary(), "-c", str(self.etc / "sensorqd.yaml"), "init", *self.options, *arguments]

    def terminal(self, *arguments, **env):
        return Terminal(self.command(*arguments), {**self.env, **env}, self.home)

    def run(self, *arguments, **env):
        return subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            env={**self.env, **env},
            cwd=self.home,
        )

    def verb(self, *arguments):
        return subprocess.run(
            [binary(), "-c", str(self.etc / "sensorqd.yaml"), *arguments],
            capture_output=True,
            text=True,
            timeout=180,
            env=self.env,
        )

    def once(self):
        (self.directory / "state").mkdir(exist_ok=True)  # as the unit does
        return self.verb("once").returncode

    def secret_file(self, name, text):
        path = self.home / name
        path.write_text(text)
        return path

    @property
    def written(self):
        return sorted(str(path.relative_to(self.etc)) for path in self.etc.rglob("*") if path.is_file())

    def config(self):
        return (self.etc / "sensorqd.yaml").read_text()

    def count(self, collection="readings"):
        with self.mongodb.client() as client:
            return client[self.database][collection].count_documents({})
