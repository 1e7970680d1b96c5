#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/MESSAGES.md and docs/ja/MESSAGES.md of daemon/events.h and the catalogs in systemd/, so that the journal
and the pages have one text. `--check` writes nothing, and ends with 1 where a page is not what it would write."""

import re
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]

HEADS = {
    "sensorqd.catalog": """# Messages of the journal

[日本語](ja/MESSAGES.md)

<!-- Made by docs/messages.py of daemon/events.h and systemd/sensorqd.catalog: change those. -->

What each message means, and what to do about it. `journalctl -x -u sensorqd` shows the same texts
below the log entries. `journalctl -u sensorqd MESSAGE_ID=...` lists the entries of one kind. A name
such as `SENSORQD_ERROR` stands for a field of the entry, which `journalctl -o verbose` shows.
""",
    "sensorqd.ja.catalog": """# ジャーナルのメッセージ

[English](../MESSAGES.md)

<!-- Made by docs/messages.py of daemon/events.h and systemd/sensorqd.ja.catalog: change those. -->

メッセージの意味と対応です。LANG が日本語なら、`journalctl -x -u sensorqd` がログの下に同じ説明を
表示します。`journalctl -u sensorqd MESSAGE_ID=...` で 1 種類だけを探せます。`SENSORQD_ERROR`
などは、そのログのフィールドを表します（`journalctl -o verbose` で見られます）。
""",
}
TO_DO = {"sensorqd.catalog": "**What to do:**", "sensorqd.ja.catalog": "**対応：**"}
COMMAND = r"(?:sensorqd|systemctl|journalctl|sudo) [^\"」]+"


def marked(text):
    """Fields and commands as code."""
    text = re.sub(r"@(\w+)@", r"`\1`", text)
    text = re.sub(rf'"({COMMAND})"', r"`\1`", text)
    text = re.sub(rf"「({COMMAND})」", r" `\1` ", text)
    text = re.sub(
        # no space at a line's ends and beside punctuation
        r"(?<=[\n 、。（])  *(`(?:sensorqd|systemctl|journalctl|sudo) )|(` )(?=[\n、。（）])",
        lambda found: found[1] or "`",
        text,
    )
    return re.sub(r"(?m)^    `(\w+)`$", r"    \1", text)  # a block of code by itself


def page(catalog):
    names = {
        number: name
        for name, number in re.findall(
            r'^#define EVENT_(\w+) "([0-9a-f]{32})"', (REPO / "daemon" / "events.h").read_text(), re.M
        )
    }
    contents, entries = [], []
    for part in re.split(r"^-- ", (REPO / "systemd" / catalog).read_text(), flags=re.M)[1:]:
        head, body = part.strip().split("\n\n", 1)
        number = head.split("\n", 1)[0]
        subject = marked(re.search(r"^Subject: (.*)$", head, re.M)[1])
        said, to_do = marked(body).rsplit("\n\n", 1)
        contents.append(f"- [{names[number]}](#{names[number].lower()}): {subject}")
        entries.append(f"## {names[number]}\n\n**{subject}** (`{number}`)\n\n{said}\n\n{TO_DO[catalog]}\n{to_do}\n")
    return "\n".join([HEADS[catalog], *contents, "", *entries])


def main():
    stale = False
    for catalog in HEADS:
        path = REPO / "docs" / ("ja" if ".ja." in catalog else "") / "MESSAGES.md"
        text = page(catalog)
        if sys.argv[1:] != ["--check"]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path.relative_to(REPO)} is not what docs/messages.py makes: run it")
            stale = True
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
