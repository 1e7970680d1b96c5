"""Build directories outside the tree, each remade when it was made from another tree or with other options.

As a program: builds.py DIRECTORY [MESON-OPTION...] [TARGET...] makes one and builds it, or these targets of it, silent
unless that fails.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def prepare(directory, options, run, env=None):
    """Sets up the directory unless it stands as wanted. run(*command, env=...) runs a command and raises when it
    fails."""
    directory = Path(directory)
    stamp = directory / "made-from.json"
    wanted = json.dumps({"tree": str(REPO), "options": list(options), "env": env or {}}, indent=1, sort_keys=True)
    if not (directory / "build.ninja").exists() or not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        run("meson", "setup", directory, REPO, *options, env=env)
        stamp.write_text(wanted)
    return directory


def main():
    def run(*command, env=None):
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
        if done.returncode != 0:
            sys.exit(f"{done.stdout.decode(errors='replace')}\n{command[0]}: exit code {done.returncode}")

    options, targets = (
        [argument for argument in sys.argv[2:] if argument.startswith("-") == dashed] for dashed in (True, False)
    )
    run("ninja", "-C", prepare(sys.argv[1], options, run), *targets)


if __name__ == "__main__":
    main()
