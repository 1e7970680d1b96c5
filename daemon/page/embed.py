#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a C file of the page's files as they are served, compressed: embed.py OUTPUT FILE..."""

import gzip
import hashlib
import re
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def served(path):
    """What a browser gets of a file: without indentation and lines of comment, and with the same line numbers."""
    return re.sub(rb"^ *//.*|^ +", b"", path.read_bytes(), flags=re.M)


def packed(plain):
    return gzip.compress(plain, 9, mtime=0)


def array(name, data):
    lines = (", ".join(str(byte) for byte in data[i : i + 24]) for i in range(0, len(data), 24))
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def main(output, *paths):
    text, rows = '#include "page-answer.h"\n\n', []
    for number, path in enumerate(map(Path, paths)):
        plain = served(path)
        data = packed(plain)
        name = "/" if path.name == "page.html" else "/" + path.name
        text += array(f"packed_{number}", data)
        rows.append(
            f'        {{ "{name}", "{TYPES[path.suffix]}; charset=utf-8", "\\"{hashlib.sha256(plain).hexdigest()[:16]}\\"",\n'
            f"                {{ (const char *) packed_{number}, sizeof(packed_{number}) }} }},\n"
        )
    Path(output).write_text(text + "\nconst PageFile page_files[] = {\n" + "".join(rows) + "        {}\n};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
