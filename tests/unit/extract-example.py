"""Takes the examples out of docs/EXTENDING.md: extract-example.py PAGE TYPES.C NEW-TYPES.C EXAMPLE.C..."""

import re
import sys
from pathlib import Path

page, types, new_types, *examples = map(Path, sys.argv[1:])
text = page.read_text()
for example in examples:
    example.write_text(re.search(rf"<!-- file: {re.escape(example.name)} -->\n```c\n(.*?)```", text, re.S)[1])

whole = types.read_text()
for kind in ("SOURCES", "SINKS"):
    line = re.search(rf"<!-- line: {kind} -->\n```c\n(.*?)\n```", text, re.S)[1]
    listed = re.search(rf"#define {kind}\(type\)(?: \\\n +type\(\w+\))+", whole)[0]
    whole = whole.replace(listed, f"{listed} \\\n{line}")
new_types.write_text(whole)
