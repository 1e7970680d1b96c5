"""A resolver that does not answer holds up nothing but the requests that need it."""
import subprocess
import time

import pytest
from harness import wait_until

SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

/* Names in .invalid take 20 s to be not found; all else is as ever. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
                (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

        if (node && strstr(node, ".invalid")) {
                (void) !write(2, "getaddrinfo sleeps\n", 19);
                sleep(20);
                return EAI_AGAIN;
        }
        return real(node, service, hints, result);
}
"""


@pytest.fixture(scope="module")
def slow_resolver(tmp_path_factory):
    directory = tmp_path_factory.mktemp("resolver")
    (directory / "slow.c").write_text(SLOW)
    library = directory / "slow.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, directory / "slow.c", "-ldl"], check=True)
    return library


def sleeps(daemon):
    return sum("getaddrinfo sleeps" in line for line in daemon.log.lines)


def test_slow_resolver_stalls_neither_the_loop_nor_the_stop(make_stack, own_queue, shared_mongodb, remo, slow_resolver):
    own_queue.create(ackDeadlineSeconds=60)
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=200)
    sources = stack.daemon.config["publish"]["sources"]
    sources.append({**sources[0], "name": "away", "url": "https://remo.invalid"})
    stack.daemon.write_config()
    stack.daemon.env["LD_PRELOAD"] = str(slow_resolver)
    stack.daemon.start()
    wait_until(lambda: sleeps(stack.daemon) >= 1, "the resolver is asked")
    began = time.monotonic()
    before = stack.count()
    wait_until(lambda: stack.count() >= before + 30, "ten polls of the other source are stored meanwhile")
    if time.monotonic() - began < 15:
        assert stack.daemon.log.events("SOURCE_FAILING") == []  # so the resolver still slept
    began = time.monotonic()
    assert stack.daemon.stop() == 0
    assert time.monotonic() - began < 10


def test_slow_resolver_for_the_queue_and_mongodb(make_stack, own_queue, shared_mongodb, remo, slow_resolver):
    """Polling goes on; so does the stop, though two threads sleep in the resolver."""
    own_queue.section = {**own_queue.section, "endpoint": "https://queue.invalid"}
    stack = make_stack(own_queue, shared_mongodb, remo, interval_msec=200, uri="mongodb://mongodb.invalid/")
    stack.daemon.env["LD_PRELOAD"] = str(slow_resolver)
    stack.daemon.start()
    wait_until(lambda: sleeps(stack.daemon) >= 2, "the resolver is asked")
    before = remo.polls()
    wait_until(lambda: remo.polls() >= before + 10, "polls go on")
    began = time.monotonic()
    assert stack.daemon.stop() == 0
    assert time.monotonic() - began < 18
