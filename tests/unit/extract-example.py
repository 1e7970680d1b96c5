"""Takes the example out of docs/EXTENDING.md: extract-example.py PAGE TYPES.C SOURCE.C NEW-TYPES.C"""
import re
import sys
from pathlib import Path

page, types, example, new_types = map(Path, sys.argv[1:])
text = page.read_text()
example.write_text(re.search(r"<!-- file: loadavg.c -->\n```c\n(.*?)```", text, re.S)[1])

line = re.search(r"<!-- line: SOURCES -->\n```c\n(.*?)\n```", text, re.S)[1]
listed = re.search(r"#define SOURCES\(type\)(?: \\\n +type\(\w+\))+", types.read_text())[0]
new_types.write_text(types.read_text().replace(listed, f"{listed} \\\n{line}"))
