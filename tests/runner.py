"""Runs every test of the project and says so in one closing line. Started by tests/run, which installs what this needs.

Exit status: 0 when everything passed; 1 on any failure, and on a skip of something that is installed here: a test may
skip only with a reason that begins with "not installed:" (a program that a user's machine may lack) or "not possible
here:" (the kernel refuses).

Most tests wait for somebody most of the time. So what only computes (compilers, fuzzers, the simulation) runs beside
them, with the lowest claim to the processor, and takes what they leave. With --only or --long the steps run one after
the other.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import arch
import builds
import roots

TESTS = Path(__file__).resolve().parent
WORK = Path(os.environ.get("SENSORQD_TEST_BUILD", "/var/tmp/sensorqd-tests"))
PYTEST_WORKERS = os.environ.get("SENSORQD_TEST_WORKERS", "6")  # mostly waiting: more than cores
UNIT_PROCESSES = "8"  # so are the C tests
LONG_FIXTURES = ("-o", "timeout_func_only=true")  # they wait for what is built meanwhile
DAEMON = "tests/daemon/sensorqd"  # the one whose doors the tests hold


class Failed(Exception):
    """A step failed; the text says where to look."""


class Totals:
    passed = failed = skipped = 0
    bad_skips, broken = [], []
    lock = threading.RLock()


class Lane(threading.local):
    """The thread that runs a step: *prefix* stands before each of its commands."""

    prefix = ()


LANE = Lane()
LOW = ("nice", "-n", "15")


def end(process):
    """Ends a command that still runs, and gives it time to end what it started (meson's tests are in sessions of their
    own)."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def shell(log, *command, timeout=1500, env=None, cwd=builds.REPO):
    """Runs a command with its output in the step's log; Failed with the end of it when it fails."""
    command = [*LANE.prefix, *command]
    log.write(f"$ {' '.join(map(str, command))}\n")
    log.flush()
    start = log.tell()
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        code = f"none after {timeout} s"
    finally:
        end(process)
    if code != 0:
        log.flush()
        text = Path(log.name).read_bytes()[start:].decode(errors="replace")
        raise Failed(f"{' '.join(map(str, command[:4]))}: exit code {code}\n{text[-12000:]}")


BUILDING = {name: threading.Lock() for name in ("gcc", "asan", "clang", "fuzz", "tsan")}


def setup(log, name, *options, env=None, target=None):
    """A build directory for these meson options, with everything in it built, or one target."""
    with BUILDING[name]:
        directory = builds.prepare(
            WORK / name, ["-Dwerror=true", *options], lambda *command, env: shell(log, *command, env=env), env
        )
        shell(log, "ninja", "-C", directory, *([target] if target else []))
    return directory


def plain(log, target=None):
    """As a distribution builds it, but with assertions: what most steps run."""
    return setup(log, "gcc", "-Db_ndebug=false", "-Dbuildtype=debugoptimized", target=target)


def unit(log, directory, *arguments, env=None, timeout=1500):
    """The C tests of a build directory; counts each."""
    for old in (directory / "meson-logs").glob("*.junit.xml"):
        old.unlink()
    try:
        shell(
            log,
            "meson",
            "test",
            "-C",
            directory,
            "--no-rebuild",
            "--print-errorlogs",
            "--num-processes",
            UNIT_PROCESSES,
            "--timeout-multiplier",
            "3",
            *arguments,
            timeout=timeout,
            env={"SENSORQD_VENV": os.environ.get("SENSORQD_VENV", ""), **(env or {})},
        )
    finally:
        for report in (directory / "meson-logs").glob("*.junit.xml"):  # named after the wrapper, where there is one
            count(report)


def one_passed():
    with Totals.lock:
        Totals.passed += 1


def pytest(log, name, *arguments, env=None, workers=PYTEST_WORKERS, timeout=1500):
    report = WORK / f"{name}.xml"
    report.unlink(missing_ok=True)
    try:
        shell(
            log,
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            "-n",
            workers,
            "--dist",
            "load",
            "--maxschedchunk",
            "1",
            "-o",
            f"junit_suite_name={name}",
            *arguments,
            env=env,
            timeout=timeout,
        )
    finally:
        if report.exists():
            count(report)


def count(report):
    """Adds a JUnit report to the totals, and looks at every reason to skip."""
    with Totals.lock:
        for case in ElementTree.parse(report).iter("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                Totals.failed += 1
            elif skipped is not None:
                Totals.skipped += 1
                reason = skipped.get("message") or ""
                if not re.match(r"(Skipped: )?(not installed:|not possible here:)", reason):
                    Totals.bad_skips.append(f"{case.get('classname')}::{case.get('name')}: {reason}")
            else:
                Totals.passed += 1


# ---- steps ----


def step_checks(log, long):
    """Layout, include directions, sizes, tables against documents, units."""
    pytest(log, "checks", TESTS / "checks")


def step_gcc(log, long):
    """gcc, warnings are errors, as a distribution builds it; the C tests."""
    directory = plain(log)
    unit(log, directory)
    staging = WORK / "destdir"
    shutil.rmtree(staging, ignore_errors=True)
    shell(log, "meson", "install", "-C", directory, "--no-rebuild", env={"DESTDIR": str(staging)})


def step_clang(log, long):
    """clang, warnings are errors."""
    setup(log, "clang", "-Dtests=true", env={"CC": "clang"})


def sanitized(log, target=None):
    return setup(log, "asan", "-Db_sanitize=address,undefined", target=target)


def step_sanitizers(log, long):
    """The C tests under AddressSanitizer and UndefinedBehaviorSanitizer."""
    unit(log, sanitized(log), "--timeout-multiplier", "4")


def step_fuzz(log, long):
    """Each fuzzer for a short while, from its corpus."""
    directory = setup(
        log,
        "fuzz",
        "-Dfuzzers=true",
        "-Dtests=false",
        "-Db_sanitize=address,undefined",
        "-Db_lundef=false",
        "-Dc_args=-fsanitize=fuzzer-no-link",
        env={"CC": "clang"},
    )
    seconds = 120 if long else 4
    for fuzzer in sorted((directory / "tests" / "fuzz").glob("fuzz-*")):
        if fuzzer.is_file() and os.access(fuzzer, os.X_OK):
            corpus = WORK / "corpus" / fuzzer.name
            corpus.mkdir(parents=True, exist_ok=True)
            seeds = TESTS / "fuzz" / "corpus" / fuzzer.name.removeprefix("fuzz-")
            shell(
                log,
                fuzzer,
                f"-max_total_time={seconds}",
                "-max_len=65536",
                "-timeout=30",
                "-rss_limit_mb=2048",
                "-print_final_stats=1",
                f"-artifact_prefix={WORK}/",
                corpus,
                *([seeds] if seeds.is_dir() else []),
            )
            one_passed()


def step_prepare(log, long):
    """What later steps run and is made once: FerretDB, mongosh, the small Debian, the package, the compilers' work for
    sanitizers and benchmarks."""
    code = "import sys; sys.path[:0] = sys.argv[1:]; "
    for what in (
        "from services import ferretdb, mongosh; ferretdb.obstacle() or ferretdb.build(); mongosh.obstacle() or mongosh.program()",
        "import machine, package; machine.obstacle() or (machine.base_tree(), package.build())",
    ):
        shell(log, sys.executable, "-c", code + what, TESTS, TESTS / "system")
    sanitized(log)
    shell(log, sys.executable, TESTS / "bench" / "run", "--only-build")


def step_services(log, long):
    """The test services themselves."""
    pytest(log, "services", TESTS / "services")


def step_integration(log, long):
    """The daemon, linked with the tests' doors, against real peers and their faults."""
    directory = plain(log, DAEMON)
    pytest(
        log,
        "integration",
        TESTS / "integration",
        *LONG_FIXTURES,
        env={"SENSORQD": str(directory / DAEMON), "SENSORQD_LONG": "1" if long else ""},
    )


def step_main(log, long):
    """The main job alone, on the daemon of the tests."""
    directory = plain(log, DAEMON)
    pytest(
        log,
        "main",
        TESTS / "integration" / "test_main_job.py",
        env={"SENSORQD": str(directory / DAEMON), "SENSORQD_LONG": ""},
    )


def step_dist(log, long):
    """The tarball of a release builds, and its C tests pass, by itself."""
    directory = plain(log)
    shell(
        log,
        "meson",
        "dist",
        "-C",
        directory,
        "--allow-dirty",
        env={"SENSORQD_VENV": os.environ.get("SENSORQD_VENV", ""), "MESON_TESTTHREADS": UNIT_PROCESSES},
    )
    one_passed()


def step_integration_sanitized(log, long):
    """The main integration tests (all of them with --long) under AddressSanitizer and UndefinedBehaviorSanitizer."""
    directory = sanitized(log, DAEMON)
    marks = [] if long else ["-m", "main"]
    pytest(
        log,
        "integration-sanitized",
        TESTS / "integration",
        *marks,
        env={
            "SENSORQD": str(directory / DAEMON),
            "SENSORQD_LONG": "",
            "SENSORQD_SANITIZED": "1",
            "SENSORQD_TEST_PATIENCE": "90",
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:verify_asan_link_order=0",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        },
    )


def step_system(log, long):
    """The package and the unit in a booted systemd."""
    pytest(log, "system", TESTS / "system", *LONG_FIXTURES, workers="1", env={"SENSORQD_LONG": "1" if long else ""})


def step_debian_13(log, long):
    """The same on Debian 13."""
    pytest(log, "debian-13", TESTS / "system", *LONG_FIXTURES, workers="1", env={"SENSORQD_TEST_SUITE": "trixie"})


def step_page(log, long):
    """The web page in a real Chromium; what it looked like is kept beside this log."""
    directory = plain(log, DAEMON)
    env = {"SENSORQD": str(directory / DAEMON), "SENSORQD_PAGE_PICTURES": str(WORK / "page-pictures")}
    pytest(log, "page", TESTS / "page", env=env, workers="2")


def fresh_seed():
    """New with each commit, and the same wherever that is tested: what fails once fails again. Without git, of the
    time."""
    done = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"],
        cwd=builds.REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return 10**6 + (int(done.stdout, 16) if done.returncode == 0 else int(time.time()) % 2**28)


def step_simulation(log, long):
    """The daemon in virtual time, through seeds of faults, kills and power cuts (fresh ones with each commit, and all
    that ever failed)."""
    simulate(log, "--minutes", "20", *([] if long else ["--count", "40"]))


def step_minute(log, long):
    """A minute of the simulation."""
    simulate(log, "--minutes", "1")


def simulate(log, *much):
    shell(
        log,
        sys.executable,
        TESTS / "sim" / "run",
        "--sim",
        plain(log, "tests/sim/sim") / "tests" / "sim" / "sim",
        "--fresh",
        fresh_seed(),
        *much,
        timeout=2400,
    )
    one_passed()


def step_power(log, long):
    """The outbox alone, through power cuts, kills, full and failing disks, and damage."""
    program = plain(log, "tests/sim/sim-outbox") / "tests" / "sim" / "sim-outbox"
    for line in (TESTS / "sim" / "worlds.txt").read_text().splitlines():
        if not line.startswith("#"):
            shell(log, program, "--world", line.split()[0])
    shell(
        log,
        program,
        "--seed",
        fresh_seed(),
        "--cuts",
        "1000000" if long else "20000",
        "--jobs",
        str(os.cpu_count() or 1),
        timeout=3000,
    )
    one_passed()


def step_models(log, long):
    """The models of docs/models, and that each broken variant is found."""
    shell(log, TESTS.parent / "docs" / "models" / "check", *(["--large"] if long else []))
    one_passed()


def step_bench(log, long):
    """The benchmark runs (figures are not judged here)."""
    shell(log, sys.executable, TESTS / "bench" / "run", "--smoke")
    one_passed()


def step_threads(log, long):
    """What has threads under ThreadSanitizer; everything of the C tests under valgrind. Here they compute: one for each
    core."""
    at_once = ("--num-processes", str(os.cpu_count()))
    directory = setup(log, "tsan", "-Db_sanitize=thread", "-Db_lundef=false", env={"CC": "clang"})
    unit(
        log,
        directory,
        "worker",
        "http-loop",
        "subscriber",
        "mongodb",
        "mongodb-write",
        "mongodb-admin",
        "sink",
        "sink-host",
        "file-sink",
        "page-charts",
        "page-store",
        "alert-backlog",
        "--timeout-multiplier",
        "10",
        *at_once,
        env={"TSAN_OPTIONS": f"suppressions={TESTS / 'unit' / 'tsan.supp'}"},
    )
    valgrind = f"valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions={TESTS / 'unit' / 'valgrind.supp'}"
    unit(log, plain(log), "--wrap", valgrind, "--timeout-multiplier", "20", *at_once, timeout=6000)


def step_arch(log, long):
    """Debian 13, and i386, arm64 and armhf: the packages, build, C tests, and the main job under qemu-user."""
    shell(log, TESTS.parent / "debian" / "build-all", WORK / "packages", timeout=6000)
    one_passed()
    broken = []
    for name in arch.PLACES:  # one that fails keeps nobody from seeing the others
        try:
            at_place(log, name)
        except (Failed, roots.Failed) as failure:
            broken.append(f"{name}: {failure}")
    if broken:
        raise Failed("\n".join(broken))


def at_place(log, name):
    place = arch.Place(name, log)
    try:
        place.test()
    finally:
        for report in place.reports():
            count(report)
    if place.root.cross:
        pytest(
            log,
            f"arch-{place.root.machine}",
            TESTS / "integration" / "test_main_job.py",
            workers="2",
            env={"SENSORQD": str(place.daemon()), "SENSORQD_TEST_PATIENCE": "300"},
        )


def step_soak(log, long):
    """Everything fails at random for twenty minutes, then the ledger must balance."""
    shell(log, TESTS / "soak", "--minutes", "20", timeout=2400)
    one_passed()


STEPS = [
    ("checks", step_checks, False),
    ("gcc", step_gcc, False),
    ("clang", step_clang, False),
    ("sanitizers", step_sanitizers, False),
    ("fuzz", step_fuzz, False),
    ("services", step_services, False),
    ("integration", step_integration, False),
    ("integration-sanitized", step_integration_sanitized, False),
    ("system", step_system, False),
    ("page", step_page, False),
    ("simulation", step_simulation, False),
    ("power", step_power, False),
    ("models", step_models, False),
    ("bench", step_bench, False),
    ("arch", step_arch, True),
    ("debian-13", step_debian_13, True),
    ("threads", step_threads, True),
    ("dist", step_dist, True),
    ("soak", step_soak, True),
]
KNOWN = {
    **{name: function for name, function, _ in STEPS},
    "prepare": step_prepare,
    "main": step_main,
    "minute": step_minute,
}
# What runs beside each other. The first lane waits more than it computes; the others compute, and give way to it.
WAITING = ["checks", "gcc", "services", "integration", "page", "system", "sanitizers", "integration-sanitized", "bench"]
LANES = [
    WAITING,
    ["prepare", "clang", *(name for name, _, only_long in STEPS if not only_long and name not in [*WAITING, "clang"])],
]
QUICK = [["gcc"], ["main"], ["checks", "minute"]]  # after each change


def run_step(name, long):
    path = WORK / f"{name}.log"
    began = time.monotonic()
    error = None
    with open(path, "w", errors="replace") as log:
        try:
            KNOWN[name](log, long)
        except Failed as failure:
            error = f"---- {name}: {path} ends with ----\n{failure}\n----"
        except Exception:  # a fault of this program: the lanes beside go on, and it is told
            error = traceback.format_exc()
    with Totals.lock:
        print(
            f"{name:24} {'FAILED' if error else 'ok'} after {time.monotonic() - began:.0f} s: {KNOWN[name].__doc__.splitlines()[0]}",
            flush=True,
        )
        if error:
            print(error, flush=True)
            Totals.broken.append(name)


def run_lane(names, prefix, long):
    LANE.prefix = prefix
    for name in names:
        run_step(name, long)


def run_lanes(lanes, long):
    """Side by side; all but the first give way."""
    threads = [
        threading.Thread(target=run_lane, args=(names, LOW if number else (), long))
        for number, names in enumerate(lanes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--long",
        action="store_true",
        help="every matrix whole, sanitizers over everything, threads, valgrind (over an hour)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="checks, gcc with the C tests, the main job, a minute of simulation: under 3 minutes",
    )
    parser.add_argument("--only", metavar="STEP,...", help="these steps only")
    parser.add_argument("--list", action="store_true", help="list the steps")
    args = parser.parse_args()
    unknown = set(args.only.split(",") if args.only else []) - set(KNOWN)
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    return args


def main():
    args = options()
    if args.list:
        for name, function, only_long in STEPS:
            print(f"{name:24} {function.__doc__.splitlines()[0]}{' (--long)' if only_long else ''}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SENSORQD_TEST_SEED", str(fresh_seed()))  # of every pytest below
    began = time.monotonic()
    if args.only:
        lanes = [[name for name in KNOWN if name in args.only.split(",")]]
    else:
        lanes = QUICK if args.quick else [[name for name, *_ in STEPS]] if args.long else LANES
    run_lanes(lanes, args.long)
    for skip in Totals.bad_skips:
        print(f"skipped although it should run here: {skip}")
    good = not Totals.broken and not Totals.failed and not Totals.bad_skips
    print(
        f"tests/run: {'PASSED' if good else 'FAILED'}: {Totals.passed} passed, {Totals.failed} failed, {Totals.skipped} skipped"
        f"{', broken steps: ' + ', '.join(Totals.broken) if Totals.broken else ''} in {(time.monotonic() - began) / 60:.1f} min"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
