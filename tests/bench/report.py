"""The table and the JSON file of a run."""

import datetime
import json
import os
import platform
import subprocess


class Row:
    """One figure. limit: (comparison, value) with comparison "<=" or ">=", or None when there is no target."""

    def __init__(self, bench, figure, unit, value, limit=None, note=""):
        self.bench, self.figure, self.unit, self.value, self.limit, self.note = bench, figure, unit, value, limit, note
        self.judged = True

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        if self.limit is None or not self.judged:
            return "-"
        comparison, bound = self.limit
        return "met" if (self.value <= bound if comparison == "<=" else self.value >= bound) else "MISSED"

    @property
    def target(self):
        return "-" if self.limit is None else f"{self.limit[0]} {number(self.limit[1])}"

    def json(self):
        return {
            "bench": self.bench,
            "figure": self.figure,
            "unit": self.unit,
            "measured": self.value,
            "target": None if self.limit is None else list(self.limit),
            "verdict": self.verdict,
            "note": self.note,
        }


def number(value):
    if value is None:
        return ""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.2f}"


def table(rows):
    cells = [("figure", "target", "measured", "verdict")]
    for row in rows:
        measured = (
            row.note if row.value is None else f"{number(row.value)} {row.unit}{f' ({row.note})' if row.note else ''}"
        )
        cells.append(
            (f"{row.bench}: {row.figure}", f"{row.target} {row.unit}" if row.limit else "-", measured, row.verdict)
        )
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def write(path, rows, options, load):
    data = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cores": len(os.sched_getaffinity(0)), "kernel": platform.release(), "cpu": _cpu()},
        "options": options,
        "cores_used_by_others": round(load, 2),
        "rows": [row.json() for row in rows],
    }
    with open(path, "w") as out:
        json.dump(data, out, indent=1)
        out.write("\n")


def _cpu():
    with open("/proc/cpuinfo") as lines:
        return next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
        )


def _commit():
    done = subprocess.run(
        ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or None
