#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns docs/configuration.md into the source of sensorqd.yaml(5) for scdoc, so that the reference has one text. Knows
the Markdown that the page uses, and nothing else: headings, paragraphs, fenced code, lists, tables of two columns,
`code`, **bold**, *italic*, [links](...)."""

import re
import sys

HEAD = """sensorqd.yaml(5)

# NAME

sensorqd.yaml - configuration of sensorqd

# DESCRIPTION
"""
TAIL = """
# SEE ALSO

*sensorqd*(8), *systemd.exec*(5)
"""


def escape(text):
    text = re.sub(r"([\\*_`])", r"\\\1", text)
    return re.sub(r"^([#\[\]|;.-])", r"\\\1", text)


def inline(text):
    """Code and names of keys are bold, links lose their address unless it is the web's."""
    out = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*|\[[^\]]+\]\([^)]+\))", text):
        link = re.fullmatch(r"\[([^\]]+)\]\(([^)]+)\)", part)
        if link:
            out.append(
                escape(link[1]) + (f" ({escape(link[2])})" if "://" in link[2] and link[1] not in link[2] else "")
            )
        elif len(part) > 2 and part[0] == part[-1] == "`":
            out.append(f"*{escape(part[1:-1])}*")
        elif part.startswith("**"):
            out.append(f"*{escape(part[2:-2])}*")
        elif len(part) > 2 and part[0] == part[-1] == "*":
            out.append(f"_{escape(part[1:-1])}_")
        else:
            out.append(escape(part))
    return "".join(out)


def paragraph(lines):
    return re.sub(r"\s+", " ", " ".join(lines)).strip()


def table(lines):
    """A list: columns beside each other cannot be read on a terminal."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return "\n\n".join(f"{inline(first)}\n\t{inline(second)}" for first, second in rows)


def bullets(lines):
    """Items of a list; a line that begins with none goes on with the item before."""
    items = []
    for line in lines:
        start = re.match(r"(?:- |\d+\. )(.*)", line)
        if start:
            items.append([start[1]])
        else:
            items[-1].append(line)
    return "\n".join(f"- {inline(paragraph(item))}" for item in items)


def block(lines, indent):
    if lines[0].startswith("```"):
        return "\n".join(["```", *lines[1:-1], "```"])
    if re.match(r"- |\d+\. ", lines[0]):
        return bullets(lines)
    if lines[0].startswith("|"):
        return table(lines)
    heading = re.match(r"(#+) (.*)", lines[0])
    if heading:
        text = heading[2]
        if text.startswith("`"):
            return f"*{escape(text[1:-1])}*"
        return f"{'#' if len(heading[1]) < 3 else '##'} {escape(text.upper() if len(heading[1]) < 3 else text)}"
    return indent + inline(paragraph(lines))


def blocks(text):
    """Paragraphs, parted by empty lines; fenced code is one whatever is in it."""
    current, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if line or fenced:
            current.append(line)
            if line.startswith("#") and not fenced or line == "```" and not fenced:
                yield current
                current = []
        elif current:
            yield current
            current = []
    if current:
        yield current


def convert(page):
    out, previous = HEAD, ""
    for lines in blocks(page.split("\n", 1)[1]):
        is_key = lines[0].startswith("### `")
        indent = "\t" if previous.startswith("### `") else ""
        out += ("" if indent else "\n") + block(lines, indent) + "\n"
        previous = lines[0] if is_key else ""
    return out + TAIL


if __name__ == "__main__":
    sys.stdout.write(convert(open(sys.argv[1], encoding="utf-8").read()))
