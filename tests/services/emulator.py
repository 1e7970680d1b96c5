"""Google's own Pub/Sub emulator, where it is installed: find it, start it on a free port, stop it.

Sought in this order: $SENSORQD_EMULATOR_JAR, the component folder of `gcloud`, the usual places of the Google Cloud
CLI. Exit code 3 when it, or java, is not installed.
"""

import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import child, ports  # noqa: E402

_JARS = "platform/pubsub-emulator/lib/*pubsub-emulator*.jar"
_ROOTS = (
    "/usr/lib/google-cloud-sdk",
    "/usr/local/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/opt/google-cloud-cli",
    "~/google-cloud-sdk",
    "/snap/google-cloud-cli/current",
    "/snap/google-cloud-sdk/current",
    "/usr/local/Caskroom/google-cloud-sdk/latest/google-cloud-sdk",
)
_JAVAS = (
    "/usr/lib/jvm/*/bin/java",
    "/usr/lib/google-cloud-sdk/platform/bundledpythonunix/bin/java",
    "/opt/java/*/bin/java",
)


def find():
    """(java, jar) of an installed emulator, or None."""
    jar, java = _find_jar(), _find_java()
    return (java, jar) if jar and java else None


def _find_jar():
    named = os.environ.get("SENSORQD_EMULATOR_JAR")
    if named:
        return named if os.path.isfile(named) else None
    roots = [os.path.expanduser(root) for root in _ROOTS]
    gcloud = shutil.which("gcloud")
    if gcloud:
        roots.insert(0, str(Path(gcloud).resolve().parents[1]))
    found = [jar for root in roots for jar in sorted(glob.glob(os.path.join(root, _JARS)))]
    return found[0] if found else _ask_gcloud(gcloud)


def _ask_gcloud(gcloud):
    if not gcloud:
        return None
    try:
        reply = subprocess.run(
            [gcloud, "info", "--format=value(installation.sdk_root)"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = sorted(glob.glob(os.path.join(reply.stdout.strip() or "/nonexistent", _JARS)))
    return found[0] if found else None


def _find_java():
    home = os.environ.get("JAVA_HOME")
    candidates = [os.path.join(home, "bin", "java")] if home else []
    candidates += [shutil.which("java") or ""] + [java for pattern in _JAVAS for java in sorted(glob.glob(pattern))]
    return next((java for java in candidates if java and os.access(java, os.X_OK)), None)


class Emulator:
    """The emulator as a child process. It forgets everything when it stops."""

    def __init__(self, port=0, log_file=None):
        self.port = port
        self._folder = None
        if log_file is None:
            self._folder = tempfile.TemporaryDirectory(prefix="emulator-")
            log_file = os.path.join(self._folder.name, "emulator.log")
        self.child = child.Child(log_file)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self):
        """For $PUBSUB_EMULATOR_HOST."""
        return f"127.0.0.1:{self.port}"

    def start(self):
        found = find()
        if found is None:
            raise FileNotFoundError("Google's Pub/Sub emulator or java is not installed")
        java, jar = found
        self.port = self.port or ports.free_port()
        self.child.start(
            [java, "-Xmx1g", "-jar", jar, "--host=127.0.0.1", f"--port={self.port}"], self._answers, timeout=60
        )
        return self

    def _answers(self):
        try:
            with urllib.request.urlopen(self.url + "/", timeout=2) as reply:
                return reply.read().strip() == b"Ok"
        except OSError:
            return False

    def stop(self):
        self.child.end()

    def kill(self):
        self.child.end(9)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def main(argv=None):
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=0, help="0 (default) takes a free port")
    options.add_argument("--find", action="store_true", help="only say where java and the jar are")
    args = options.parse_args(argv)
    found = find()
    if found is None:
        print("not installed", file=sys.stderr)
        return 3
    if args.find:
        print(*found)
        return 0
    emulator = Emulator(args.port)
    return child.run(emulator, lambda: emulator.url)


if __name__ == "__main__":
    sys.exit(main())
