#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns docs/RECIPES.md into the table of daemon/verbs/init-draft.h, and the example configuration into a text, so that
`sensorqd init` writes what the page shows. Comments of the page say which recipes it offers and what it asks for each:

    <!-- init: TITLE IN JAPANESE -->                        it is offered
    <!-- page NAME -->                                      it is of the page, under this name
    <!-- ask KEY=TEXT: ENGLISH | JAPANESE -->               TEXT stands in the block (behind `KEY: ` if that is there), the answer replaces it
    <!-- option KEY=TEXT -->                                the same, but never asked: for --set
    <!-- secret FILE: ENGLISH | JAPANESE -->                a secret file that the block names
    <!-- optional secret FILE: ENGLISH | JAPANESE -->       its line goes where there is none
    <!-- failed: ENGLISH | JAPANESE -->                     said where the remote end refuses
"""

import json
import re
import sys

TOPIC = "sensor-data"  # what names of subscriptions begin with
TOPIC_MARK, FIRST_MARK = "\x1f", 1  # bytes of the template: the topic, and the first question's answer


def c_text(text):
    if text is None:
        return "NULL"
    out = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{out}"'


def pair(text):
    english, japanese = (part.strip() for part in text.split(" | ")) if text else ("", "")
    return f"{{ {c_text(english)}, {c_text(japanese)} }}"


def marked(block, key, text, mark):
    """The block with the mark in place of a text."""
    behind_key = re.compile(rf"(?m)^(\s*{re.escape(key)}: ){re.escape(text)}$")
    found = (
        behind_key.sub(lambda match: match[1] + mark, block) if behind_key.search(block) else block.replace(text, mark)
    )
    assert found != block, f"{text} is not in:\n{block}"
    return found


def recipe(title, section):
    """One row, or None for a section that `init` does not offer."""
    offered = re.search(r"<!-- init: (.*?) -->", section)
    if not offered:
        return None
    block = re.search(r"^```yaml\n(.*?)^```$", section, re.M | re.S)[1]
    questions = []
    for optional, word, rest in re.findall(r"<!-- (optional )?(ask|option|secret) (.*?) -->", section):
        subject, _, words = rest.partition(": ")
        key, text = (subject, subject) if word == "secret" else subject.split("=", 1)
        block = marked(block, key, text, chr(FIRST_MARK + len(questions)))
        kind = "INIT_OPTIONAL_SECRET" if optional else f"INIT_{word.upper()}"
        questions.append(f"{{ {kind}, {c_text(key)}, {c_text(text)}, {pair(words)} }}")
    source, sink = re.search(r"- name: ([\w-]+)", block), re.search(r"^    (\w+):", block, re.M)
    page = re.search(r"<!-- page (\w+) -->", section)
    name = (source or page or sink)[1]
    if not source:
        block = block.replace(TOPIC, TOPIC_MARK)
    failed = re.search(r"<!-- failed: (.*?) -->", section)
    return (
        f"{{ INIT_{'SOURCE' if source else 'PAGE' if page else 'SINK'}, {c_text(name)}, {{ {c_text(title)}, {c_text(offered[1])} }},\n"
        f"  {pair(failed[1]) if failed else '{ NULL, NULL }'},\n"
        f"  {c_text(block)},\n  {{ {', '.join(questions) or '{}'} }} }},\n"
    )


def main():
    page, example = (open(path, encoding="utf-8").read() for path in sys.argv[1:3])
    print(
        f"/* Made by {json.dumps(sys.argv[0].rpartition('/')[2])} from docs/RECIPES.md and the example configuration. */"
    )
    print('#include <stddef.h>\n\n#include "verbs/init-draft.h"\n\nconst InitRecipe init_recipes[] = {')
    for section in re.split(r"^## ", page, flags=re.M)[1:]:
        title, rest = section.split("\n", 1)
        print(recipe(title, rest) or "", end="")
    print("{} };\n")
    print(f"const char init_example[] = {c_text(example)};")


if __name__ == "__main__":
    main()
