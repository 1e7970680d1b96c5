"""What /proc says about a process: CPU time, memory with its peak, wake-ups of each thread."""

import os
import threading
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def foreign_load(before=None):
    """Without an argument a mark; with one the cores that programs other than this one and its ended children have used
    since."""
    with open("/proc/stat") as text:
        fields = [int(field) for field in text.readline().split()[1:9]]
    busy = (sum(fields) - fields[3] - fields[4]) / _TICK
    times = os.times()
    mark = (time.monotonic(), busy, times.user + times.system + times.children_user + times.children_system)
    if before is None:
        return mark
    wall, busy, own = (now - then for now, then in zip(mark, before))
    return max(0.0, (busy - own) / wall)


def tasks(pid):
    return [int(task) for task in os.listdir(f"/proc/{pid}/task")]


def cpu_seconds(pid):
    """User and system time of all threads, ended ones too: to the nanosecond while no thread has ended, else in clock
    ticks."""
    fields = _stat(pid)
    ticks = (int(fields[11]) + int(fields[12])) / _TICK
    exact = 0
    for task in tasks(pid):
        try:
            exact += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except (OSError, ProcessLookupError):
            pass
    exact /= 1e9
    return exact if abs(exact - ticks) < 0.03 + 0.002 * ticks else ticks


def memory(pid):
    """MiB: rss, anonymous, and rss's peak."""
    values = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        name: int(values[key].split()[0]) / 1024
        for name, key in (("rss", "VmRSS"), ("anonymous", "RssAnon"), ("peak", "VmHWM"))
    }


def wakeups(pid):
    """Voluntary context switches of each thread: {task: (name, switches)}."""
    found = {}
    for task in tasks(pid):
        status = Path(f"/proc/{pid}/task/{task}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in status)
        found[task] = (values["Name"].strip(), int(values["voluntary_ctxt_switches"]))
    return found


def group(leader):
    """The processes of a process group that have not ended."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, _, process_group = _stat(entry)[:3]
                if int(process_group) == leader and state != "Z":
                    found.append(int(entry))
            except (OSError, IndexError):
                pass
    return found


def usage(leader):
    """What a process group uses: seconds of CPU, MiB of resident memory at the peak. Processes may end meanwhile."""
    cpu = peak = 0
    for pid in group(leader):
        try:
            cpu, peak = cpu + cpu_seconds(pid), peak + memory(pid)["peak"]
        except (OSError, KeyError):  # it has ended; one that is not waited for yet has no memory
            pass
    return cpu, peak


class Sampler:
    """Watches the anonymous memory of a process, whose peak the kernel does not keep."""

    def __init__(self, pid, every=0.01):
        self.peak = 0.0
        self._pid, self._every = pid, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        path = f"/proc/{self._pid}/status"
        while not self._stop.wait(self._every):
            try:
                with open(path, "rb") as status:
                    text = status.read()
            except OSError:
                return
            at = text.find(b"RssAnon:")
            if at >= 0:
                self.peak = max(self.peak, int(text[at + 8 : text.index(b"kB", at)]) / 1024)

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self.peak


class Span:
    """What a process used between making this and end(): seconds of CPU, of wall time, MiB at the peak."""

    def __init__(self, pid):
        self._pid = pid
        self._sampler = Sampler(pid)
        self.before, self._wall = cpu_seconds(pid), time.monotonic()
        self.cpu = self.wall = self.rss = self.anonymous = None

    def end(self):
        self.cpu, self.wall = cpu_seconds(self._pid) - self.before, time.monotonic() - self._wall
        self.rss, self.anonymous = memory(self._pid)["peak"], self._sampler.stop()
        return self
