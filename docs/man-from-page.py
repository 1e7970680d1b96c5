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

Pages named NAME.md are in /usr/share/doc/sensorqd (*zless*(1)).

*sensorqd*(8), *systemd.exec*(5)
"""


def escape(text):
    text = re.sub(r"([\\*_`])", r"\\\1", text)
    return re.sub(r"^([#\[\]|;.-])", r"\\\1", text)


def linked(text, address):
    """A page of ours is named by its file, which stands in /usr/share/doc/sensorqd; a place of this page is not."""
    file = address if "://" in address else address.split("#")[0]
    if text == "page":
        return escape(file)
    return escape(text) + (f" ({escape(file)})" if file and text not in file else "")


def inline(text):
    """Code and names of keys are bold, links have their address behind them."""
    out = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*`\s][^*`]*\*|\[[^\]]+\]\([^)]+\))", text):
        link = re.fullmatch(r"\[([^\]]+)\]\(([^)]+)\)", part)
        if link:
            out.append(linked(link[1], link[2]))
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


def bullets(lines, indent):
    """Items of a list; a line that begins with none goes on with the item before."""
    items = []
    for line in lines:
        start = re.match(r"(?:- |\d+\. )(.*)", line)
        if start:
            items.append([start[1]])
        else:
            items[-1].append(line)
    mark = "-" if lines[0].startswith("-") else "."  # scdoc counts the items itself
    return "\n".join(f"{indent}{mark} {inline(paragraph(item))}" for item in items)


def block(lines, indent):
    if lines[0].startswith("```"):
        return "\n".join(["```", *lines[1:-1], "```"])
    if re.match(r"- |\d+\. ", lines[0]):
        return bullets(lines, indent)
    if lines[0].startswith("|"):
        return table(lines)
    heading = re.match(r"(#+) (.*)", lines[0])
    if heading:
        text = heading[2]
        if text.startswith("`"):
            return inline(text)  # `key`, or `key` (type)
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
    """What stands below a key is indented, up to the next heading."""
    out, key, first = HEAD, False, False
    for lines in blocks(page.split("\n", 1)[1]):
        if lines[0].startswith("#"):
            key = first = lines[0].startswith("### `")
            out += "\n" + block(lines, "") + "\n"
        else:
            out += ("" if first else "\n") + block(lines, "\t" if key else "") + "\n"
            first = False
    return out + TAIL


if __name__ == "__main__":
    sys.stdout.write(convert(open(sys.argv[1], encoding="utf-8").read()))
