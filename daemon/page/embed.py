#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a C file of the page's files, compressed: embed.py OUTPUT FILE..."""

import gzip
import hashlib
import sys
from pathlib import Path

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


def array(name, data):
    lines = (", ".join(str(byte) for byte in data[i : i + 24]) for i in range(0, len(data), 24))
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def main(output, *paths):
    text, rows = '#include "page-answer.h"\n\n', []
    for number, path in enumerate(map(Path, paths)):
        plain = path.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        name = "/" if path.name == "page.html" else "/" + path.name
        text += array(f"packed_{number}", packed)
        rows.append(
            f'        {{ "{name}", "{TYPES[path.suffix]}; charset=utf-8", "\\"{hashlib.sha256(plain).hexdigest()[:16]}\\"",\n'
            f"                {{ (const char *) packed_{number}, sizeof(packed_{number}) }} }},\n"
        )
    Path(output).write_text(text + "\nconst PageFile page_files[] = {\n" + "".join(rows) + "        {}\n};\n")


main(*sys.argv[1:])
