"""A wall clock that is wrong or steps: only times that people read follow it, and request_at not even then."""

import datetime
import json
import re
import struct
import subprocess
import time

import pytest
from conftest import service_queue
from harness import wait_until
from services.proxy import Proxy
from services.pubsub import PubSub

HOUR = 3600

# libfaketime shifts the loop's timers as well, which no step of a real clock does: a wall clock of our own, and nothing
# else.
STEPPED = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
        static const volatile long *shared;

        if (!shared) {
                int fd = open(getenv("STEPPED_CLOCK"), O_RDONLY | O_CLOEXEC);

                shared = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
                (void) close(fd);
        }
        return *shared;
}

int clock_gettime(clockid_t id, struct timespec *now) {
        int r = (int) syscall(SYS_clock_gettime, id, now);

        if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
                now->tv_sec += offset();
        return r;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        now->tv_sec = ts.tv_sec;
        now->tv_usec = ts.tv_nsec / 1000;
        return 0;
}

time_t time(time_t *ret) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_REALTIME, &ts);
        if (ret)
                *ret = ts.tv_sec;
        return ts.tv_sec;
}

/* A wait until a time of this clock lasts as long as the clock says, also where it is set during the wait. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
        struct timespec now, end;
        int r;

        do {
                (void) clock_gettime(CLOCK_REALTIME, &now);
                if (now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
                        return ETIMEDOUT;
                (void) clock_gettime(CLOCK_MONOTONIC, &end);
                end.tv_nsec += 20 * 1000 * 1000;
                end.tv_sec += end.tv_nsec / 1000000000;
                end.tv_nsec %= 1000000000;
                r = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &end);
        } while (r == ETIMEDOUT);
        return r;
}
"""


class Clock:
    """The daemon's wall clock, which can be stepped while it runs."""

    def __init__(self, library, file):
        self.file = file
        self.step(0)
        self.env = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(file)}

    def step(self, seconds):
        """From now on so far ahead of the real one."""
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("l", seconds))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    directory = tmp_path_factory.mktemp("clock")
    (directory / "stepped.c").write_text(STEPPED)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", directory / "stepped.so", directory / "stepped.c"], check=True
    )
    return directory / "stepped.so"


@pytest.fixture
def clock(tmp_path, library):
    return Clock(library, tmp_path / "clock")


@pytest.fixture
def plain_queue(tmp_path):
    """Without TLS: whether a certificate is valid does depend on the wall clock, and shall."""
    with PubSub(auth=True) as service:
        yield service_queue(service, tmp_path / "keys")


@pytest.fixture
def stack(make_stack, plain_queue, shared_mongodb, remo, clock):
    plain_queue.create(ackDeadlineSeconds=60)
    stack = make_stack(plain_queue, shared_mongodb, remo, interval_msec=500)
    stack.daemon.env.update(clock.env, SENSORQD_TEST_BACKOFF_MAX_MSEC="2000")
    return stack


def polls(stack, more):
    before = stack.remo.polls()
    wait_until(lambda: stack.remo.polls() >= before + more, f"{more} polls")


def tokens(stack):
    return len(stack.queue.service.log.since(0, "token"))


def read_status(stack):
    return json.loads((stack.daemon.state / "status.json").read_text())  # the verb would refuse the configuration


def is_recent(told, key):
    return abs(datetime.datetime.fromisoformat(told[key]).timestamp() - time.time()) < 300


def all_stored_with_true_times(stack):
    stack.quiet()
    wait_until(lambda: stack.count() >= len(stack.remo.served()), "everything is stored")
    documents = stack.readings()
    assert len(documents) == len(stack.remo.served())
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    for document in documents:
        assert abs((document["request_at"] - now).total_seconds()) < 300, document


def test_steps_while_running(stack, clock):
    """Intervals, leases and the token's expiry do not care; request_at stays true."""
    stack.daemon.start()
    stack.wait_count(3)
    got = tokens(stack)
    for event, step in (("CLOCK_WRONG", 7 * HOUR), ("CLOCK_RIGHT", 0), ("CLOCK_WRONG", -9 * HOUR), ("CLOCK_RIGHT", 0)):
        seen = len(stack.daemon.log.events(event))
        began, before = time.monotonic(), stack.remo.polls()
        clock.step(step)
        stack.daemon.log.wait(event, seen + 1)
        polls(stack, 4)
        assert (
            stack.remo.polls() - before <= 2 * (time.monotonic() - began) + 3
        )  # no burst of polls that a timer thought it had missed
        wait_until(lambda: stack.count() >= len(stack.remo.served()) - 3, "readings arrive")
    assert tokens(stack) == got
    assert stack.daemon.log.events("LEASE_LAPSED") == [] and stack.daemon.log.events("RETENTION_NEAR") == []
    assert stack.daemon.log.events("STALLED") == []
    all_stored_with_true_times(stack)
    assert stack.daemon.stop() == 0


def in_seconds(entry):
    """The span that it names is no difference of two wall clocks."""
    return re.search(r"after \d+ (ms|s|min)\b", entry.text)


@pytest.mark.parametrize("step", [9 * HOUR, -9 * HOUR])
def test_outages_are_measured_by_the_clock_that_nobody_sets(stack, clock, step):
    stack.daemon.start()
    stack.wait_count(1)
    for service, match, event in (
        (stack.queue.service, ":publish$", "PUBLISH_FAILING"),
        (stack.remo, "GET /1/devices", "SOURCE_FAILING"),
    ):
        service.faults.add({"match": match, "times": -1, "action": {"type": "status", "status": 503}})
        stack.daemon.log.wait(event)
    clock.step(step)
    stack.remo.faults.clear()
    stack.queue.service.faults.clear()
    for event in ("SOURCE_RECOVERED", "PUBLISH_RECOVERED"):
        assert in_seconds(stack.daemon.log.wait(event))


def test_step_while_a_batch_is_held(make_stack, plain_queue, shared_mongodb, clock):
    """Leases are renewed by the clock that nobody sets: no redelivery, whatever the wall clock does."""
    plain_queue.create(ackDeadlineSeconds=10)
    with Proxy(shared_mongodb.port) as proxy:
        stack = make_stack(plain_queue, shared_mongodb, None, interval_msec=0, uri=f"mongodb://127.0.0.1:{proxy.port}/")
        stack.daemon.env.update(clock.env)
        stack.daemon.start()
        wait_until(lambda: plain_queue.service.store.waiting >= 1, "the hanging pull")
        proxy.set_mode("blackhole")
        plain_queue.publish([(b'{"n":1}', {})])
        wait_until(lambda: plain_queue.service.log.since(0, "deliver"), "the delivery")
        for step in (6 * HOUR, -6 * HOUR):
            renewals = len(plain_queue.service.log.since(0, "modack"))
            clock.step(step)
            wait_until(lambda: len(plain_queue.service.log.since(0, "modack")) > renewals, "a renewal")
        proxy.set_mode("pass")
        stack.wait_count(1, patience=60)
        wait_until(plain_queue.is_empty, "its acknowledgement")
        assert len(plain_queue.service.log.since(0, "deliver")) == 1
        assert stack.daemon.stop() == 0


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_steps_while_mongodb_is_away(make_stack, plain_queue, shared_mongodb, clock, step):
    """Its driver waits for a server until a time of the wall clock. Where that is set back, it would wait as much longer,
    and a stop with it."""
    plain_queue.create(ackDeadlineSeconds=60)
    with Proxy(shared_mongodb.port) as proxy:
        stack = make_stack(plain_queue, shared_mongodb, None, interval_msec=0, uri=f"mongodb://127.0.0.1:{proxy.port}/")
        stack.daemon.env.update(clock.env, SENSORQD_TEST_BACKOFF_MAX_MSEC="2000")
        stack.daemon.start()
        plain_queue.publish([(b'{"n":1}', {})])
        stack.wait_count(1)
        for n in range(2, 5):
            proxy.set_mode("refuse")
            plain_queue.publish([(b'{"n":%d}' % n, {})])
            stack.daemon.log.wait("SINK_DOWN", n - 1)
            time.sleep(1.5)  # into the next try's wait
            clock.step(step * (n - 1))
            time.sleep(1)
            proxy.set_mode("pass")
            stack.wait_count(n, patience=20)
        wait_until(plain_queue.is_empty, "the acknowledgements")
        proxy.set_mode("refuse")
        clock.step(0)
        assert stack.daemon.stop() == 0


def test_token_is_renewed_by_its_age_not_by_the_wall_clock(make_stack, plain_queue, shared_mongodb, remo, clock):
    plain_queue.create(ackDeadlineSeconds=60)
    plain_queue.service.oauth.token_lifetime = 8  # renewed after 4 s
    stack = make_stack(plain_queue, shared_mongodb, remo, interval_msec=300)
    stack.daemon.env.update(clock.env)
    stack.daemon.start()
    stack.wait_count(3)
    got = tokens(stack)
    clock.step(5 * HOUR)
    wait_until(lambda: tokens(stack) > got, "a new token though the clock is wrong", 60)
    polls(stack, 1)
    all_stored_with_true_times(stack)
    assert stack.daemon.log.events("LEASE_LAPSED") == []


@pytest.mark.parametrize("ahead", [False, True])
def test_start_with_an_unset_clock(stack, clock, ahead):
    """No battery, no network time yet: 1970. Or a battery that ran wild. Readings flow all the same, with true
    times."""
    clock.step(3 * 365 * 24 * HOUR if ahead else -int(time.time()) + 60)
    stack.daemon.start()
    wrong = stack.daemon.log.wait("CLOCK_WRONG")
    assert ("ahead of" if ahead else "behind") in wrong.text
    wait_until(lambda: "clock is wrong" in stack.daemon.notify.status, "the clock in STATUS")
    stack.wait_count(6, patience=60)  # the token's times come from the endpoint's Date after its first refusal
    seen = len(stack.daemon.log.events("CLOCK_RIGHT"))
    stack.daemon.config["no_such_key"] = 1
    stack.daemon.write_config()
    stack.daemon.reload()
    clock.step(0)
    stack.daemon.log.wait("CLOCK_RIGHT", seen + 1)
    polls(stack, 2)
    wait_until(
        lambda: is_recent(told := read_status(stack), "started") and is_recent(told["reload_refused"], "time"),
        "times of now",
    )
    wait_until(lambda: "clock is wrong" not in stack.daemon.notify.status, "STATUS without the clock")
    all_stored_with_true_times(stack)
    assert len(stack.daemon.log.events("CLOCK_WRONG")) == 1
    assert stack.daemon.stop() == 0


def test_certificates_wait_for_the_clock(make_stack, own_queue, shared_mongodb, remo, clock):
    """With a clock of 1970 no certificate is valid: polls go on, their times are true, and all of it follows once the
    clock is set."""
    own_queue.create(ackDeadlineSeconds=60)
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=500)
    stack.daemon.env.update(clock.env)
    clock.step(-int(time.time()) + 60)
    stack.daemon.start()
    refused = stack.daemon.log.wait("TOKEN_REFUSED")
    assert "clock" in refused.text
    polls(stack, 3)
    clock.step(0)
    assert in_seconds(stack.daemon.log.wait("TOKEN_RECOVERED", patience=90))
    all_stored_with_true_times(stack)
    assert stack.daemon.stop() == 0
