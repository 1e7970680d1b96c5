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

/* Names in .invalid take 60 s to be not found; all else is as ever. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
                (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

        if (node && strstr(node, ".invalid")) {
                (void) !write(2, "getaddrinfo sleeps\n", 19);
                sleep(60);
                return EAI_AGAIN;
        }
        return real(node, service, hints, result);
}
"""


@pytest.fixture(scope="module")
def slow_resolver(tmp_path_factory):
    return preload(tmp_path_factory.mktemp("resolver"), SLOW)


def sleeps(daemon):
    return sum("getaddrinfo sleeps" in line for line in daemon.log.lines)


SEED_LIST = r"""
#define _GNU_SOURCE
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *put_name(unsigned char *at, const char *name) {
        while (*name) {
                size_t size = strcspn(name, ".");

                *at++ = (unsigned char) size;
                memcpy(at, name, size);
                at += size;
                name += size + (name[size] == '.');
        }
        *at++ = 0;
        return at;
}

/* _mongodb._tcp.cluster.example.test has one SRV record, for db.example.test at $SEED_PORT; nothing else has any. */
int res_nsearch(res_state state, const char *name, int class, int type, unsigned char *answer, int size) {
        unsigned char *at = answer, *length;

        fprintf(stderr, "asks DNS for %d of %s\n", type, name);
        if (type != ns_t_srv || strcmp(name, "_mongodb._tcp.cluster.example.test") != 0 || *getenv("SEED_FAILS")) {
                state->res_h_errno = h_errno = NO_DATA;
                return -1;
        }
        memcpy(at, "\0\1\201\200\0\1\0\1\0\0\0\0", 12);
        at = put_name(at + 12, name);
        NS_PUT16(ns_t_srv, at);
        NS_PUT16(ns_c_in, at);
        NS_PUT16(0xc00c, at); /* the name above */
        NS_PUT16(ns_t_srv, at);
        NS_PUT16(ns_c_in, at);
        NS_PUT32(60, at);
        length = at;
        at += 2;
        NS_PUT16(0, at);
        NS_PUT16(0, at);
        NS_PUT16(atoi(getenv("SEED_PORT")), at);
        at = put_name(at, "db.example.test");
        NS_PUT16(at - length - 2, length);
        return (int) (at - answer);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
                (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **)) dlsym(RTLD_NEXT, "getaddrinfo");

        if (node && strcmp(node, "db.example.test") == 0 && getenv("SEED_HANGS"))
                sleep(60);
        return real(node && strcmp(node, "db.example.test") == 0 ? "127.0.0.1" : node, service, hints, result);
}
"""


def preload(directory, source):
    (directory / "preload.c").write_text(source)
    library = directory / "preload.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, directory / "preload.c", "-ldl"], check=True)
    return library


def test_seed_list_of_mongodb_srv(make_stack, own_queue, shared_mongodb, remo, tmp_path):
    """The hosts come from DNS; a name that has none is an outage."""
    own_queue.create(ackDeadlineSeconds=60)
    stack = make_stack(
        own_queue, shared_mongodb, remo, interval_msec=200, uri="mongodb+srv://cluster.example.test/?tls=false"
    )
    port = str(shared_mongodb.port)
    stack.daemon.env.update({"LD_PRELOAD": str(preload(tmp_path, SEED_LIST)), "SEED_PORT": port, "SEED_FAILS": ""})
    stack.daemon.start()
    wait_until(lambda: stack.count() >= 3, "readings are stored")
    assert stack.daemon.stop() == 0
    stack.daemon.start(SEED_FAILS="1")
    entry = stack.daemon.log.wait("SINK_DOWN")
    assert "cluster.example.test" in entry.text
    assert stack.daemon.stop() == 0
    stack.daemon.start(SEED_FAILS="", SEED_HANGS="1")
    entry = stack.daemon.log.wait("SINK_DOWN", 2)
    assert "cluster.example.test" in entry.text
    assert stack.daemon.stop() == 0


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
    assert time.monotonic() - began < 30


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
    assert time.monotonic() - began < 30
