"""MongoDB's own shell, from npm, at the version below; kept in $SENSORQD_TEST_BUILD."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

VERSION = "2.12.0"
CACHE = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests")) / "npm"


def obstacle():
    """Why it cannot be had here, or None."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "not installed: npm and Node.js 20 or later"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, cwd="/").stdout.strip()
    return (
        None
        if int(version.lstrip("v").split(".")[0] or 0) >= 20
        else f"not installed: Node.js 20 or later, this is {version}"
    )


def program():
    """Its path; fetched at the first time, 150 MB. RuntimeError with npm's words when it cannot be."""
    directory = CACHE / f"mongosh-{VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            shutil.rmtree(directory, ignore_errors=True)
            done = subprocess.run(
                [
                    "npm",
                    "install",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--prefix",
                    directory,
                    f"mongosh@{VERSION}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd="/",
            )
            if done.returncode != 0:
                raise RuntimeError(f"mongosh cannot be had: {done.stdout[-4000:]}")
            (directory / "complete").touch()
    return directory / "node_modules" / ".bin" / "mongosh"


def run(uri, *scripts, home):
    """What it prints for these scripts, one after the other. passwordPrompt() answers `secret`. RuntimeError with that
    when it fails."""
    evals = [
        word for script in ("globalThis.passwordPrompt = () => 'secret'; 0", *scripts) for word in ("--eval", script)
    ]
    done = subprocess.run(
        [program(), uri, "--quiet", *evals],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(home), "NO_COLOR": "1"},
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout)
    return done.stdout
