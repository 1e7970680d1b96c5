"""daemon/subscribe/payload.c against Python itself: what repr() writes of 10 000 values comes out as json says,
and of as many damaged texts nothing is read that ast.literal_eval() does not read, or differently; and what it reads is
refused only where repr() does not write it so."""

import ast
import json
import random
import struct
import subprocess
import sys
import warnings

COUNT = 10000
REFUSED = 0xFFFFFFFF
CHARACTERS = "abz '\"\\{}[]():,#%\n\r\t\0\x1b\x7f\x85\xa0é居間\u2028😀\U0010ffff_09.-+eEjJxuNrb"
WORDS = [
    "te",
    "val",
    "created_at",
    "newest_events",
    "None",
    "True",
    "居間",
    "it's",
    '"',
    "",
    "2021-03-25T06:08:42Z",
    "a" * 70,
]
PIECES = [
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    " ",
    "\n",
    "#",
    "\\",
    "0",
    "1",
    "_",
    ".",
    "e5",
    "-",
    "+",
    "j",
    "0x",
    "0b1",
    "0o7",
    "b'",
    "r'",
    "u'",
    "f'",
    "'''",
    "None",
    "True",
    "nan",
    "\\x41",
    "\\u00e9",
    "\\ud800",
    "\\N{DASH}",
    "\\101",
    "1_000",
    "00",
    ".5",
    "5.",
    "\t",
    "é",
    "...",
    "*",
]


def text(r):
    return r.choice(WORDS) if r.random() < 0.6 else "".join(r.choice(CHARACTERS) for _ in range(r.randrange(12)))


def number(r):
    return r.choice(
        [
            r.randrange(-100, 100),
            r.randrange(-(2**70), 2**70),
            r.random() * 100,
            r.uniform(-1e300, 1e300),
            0.1 + r.random(),
            -0.0,
            1e22,
            5e-324,
        ]
    )


def value(r, depth=0):
    kind = r.randrange(9 if depth < 4 else 6)
    if kind < 2:
        return text(r)
    if kind < 4:
        return number(r)
    if kind < 6:
        return r.choice([True, False, None])
    if kind == 6:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 7:
        return tuple(value(r, depth + 1) for _ in range(r.randrange(4)))
    keys = [text(r) if r.random() < 0.9 else r.choice([1, -5, True, None, 2.5, 1e300]) for _ in range(r.randrange(5))]
    return {key: value(r, depth + 1) for key in keys}


def damaged(r):
    good = repr(value(r))
    for _ in range(r.randrange(1, 4)):
        at, size = r.randrange(len(good) + 1), r.choice([0, 0, 1, 2])
        good = good[:at] + r.choice(PIECES) + good[at + size :]
    return good


def evaluate(source):
    """What Python reads: (True, value), or (False, None)."""
    try:
        return True, ast.literal_eval(source)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return False, None


def as_json(item):
    """The value as JSON holds it; ValueError for what it cannot hold."""
    if isinstance(item, dict):
        if not all(key is None or isinstance(key, str | int | float) for key in item):
            raise ValueError("key")
        return {json.loads(json.dumps({key: 0})).popitem()[0]: as_json(member) for key, member in item.items()}
    if isinstance(item, list | tuple):
        return [as_json(member) for member in item]
    if item is None or isinstance(item, str | int | float):
        return item
    raise ValueError(type(item).__name__)


def has_numbered_keys(item):
    if isinstance(item, dict):
        return any(isinstance(key, float) for key in item) or any(has_numbered_keys(member) for member in item.values())
    return isinstance(item, list | tuple) and any(has_numbered_keys(member) for member in item)


def tags(item):
    """With the types that == does not tell apart."""
    if isinstance(item, dict):
        return {key: tags(member) for key, member in item.items()}
    if isinstance(item, list):
        return [tags(member) for member in item]
    return type(item).__name__, repr(item)


def convert(program, texts):
    data = b"".join(struct.pack("<I", len(raw)) + raw for raw in texts)
    out, at, results = subprocess.run([program], input=data, capture_output=True, check=True).stdout, 0, []
    while at < len(out):
        (size,) = struct.unpack_from("<I", out, at)
        results.append(None if size == REFUSED else out[at + 4 : at + 4 + size])
        at += 4 + (0 if size == REFUSED else size)
    assert len(results) == len(texts), f"{len(results)} answers to {len(texts)} texts"
    return results


def may_refuse(source, item):
    """What Python reads and we say that we do not."""
    try:
        as_json(item)
        json.dumps(item, ensure_ascii=False).encode()
    except ValueError:  # a set, a complex number, half of a surrogate pair
        return True
    return repr(item) != source


def main(program):
    r = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 20210325)
    good = [repr(value(r)) for _ in range(COUNT)]
    for source, out in zip(good, convert(program, [source.encode() for source in good]), strict=True):
        assert out is not None, f"refused: {source}"
        assert tags(json.loads(out)) == tags(as_json(ast.literal_eval(source))), f"{source} became {out!r}"

    bad = [damaged(r) for _ in range(COUNT)]
    accepted = refused = 0
    for source, out in zip(bad, convert(program, [source.encode() for source in bad]), strict=True):
        readable, item = evaluate(source.rstrip(" \t\r\n"))  # Python minds blanks on a line behind the value, we do not
        if out is None:
            refused += 1
            assert not readable or may_refuse(source, item), f"refused, but Python reads {item!r}: {source!r}"
        else:
            accepted += 1
            assert readable, f"read as {out!r}, but Python refuses it: {source!r}"
            if not has_numbered_keys(item):  # which keep the digits that they have
                assert tags(json.loads(out)) == tags(as_json(item)), f"{source!r} became {out!r}"
    print(f"{COUNT} values; {accepted} damaged texts read, {refused} refused")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
