"""Ports of loopback for the services.

A service that is killed and started again needs its old port. From the kernel's ephemeral range (32768 and up on Linux)
any outgoing connection may take it meanwhile, even the client's own next try, which then connects to itself; so free
ports are drawn below it.

Whoever drew a port keeps it while its process lives, bound or not: no other process that draws here, of these tests or
of others beside them, is given the same. So a server may be down for a while, and a daemon may bind later what its test
drew.
"""

import fcntl
import os
import random
import socket
import tempfile
import threading

HOST = "127.0.0.1"
_RANGE = (20000, 32000)
_TRIES = 500
_FILE = os.path.join(tempfile.gettempdir(), f"sensorqd-test-ports-{os.getuid()}")  # byte N is locked by who drew port N


class _Drawn:
    """The ports that this process drew. Its locks end with it; a child has none of them."""

    def __init__(self):
        self._lock, self._ports, self._file = threading.Lock(), set(), None

    def take(self, port):
        """False when somebody has it."""
        with self._lock:
            if self._file is None:
                self._file = open(_FILE, "ab")  # never closed: that would end the locks
            if port in self._ports:
                return False
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                return False
            self._ports.add(port)
            return True

    def give_back(self, port):
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, port)
            self._ports.discard(port)


_drawn = _Drawn()


def bind(port=0):
    """A TCP socket bound on loopback, not yet listening; port 0 draws a free one."""
    return _bind_to(port) if port else _bind_free()


def free_port():
    """A port that nobody has, for servers that cannot be handed a socket."""
    with _bind_free() as sock:
        return sock.getsockname()[1]


def _bind_to(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except OSError:
        sock.close()
        raise
    return sock


def _bind_free():
    for _ in range(_TRIES):
        port = random.SystemRandom().randint(*_RANGE)
        if not _drawn.take(port):
            continue
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((HOST, port))  # without SO_REUSEADDR: nobody else may hold it
        except OSError:
            sock.close()
            _drawn.give_back(port)
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock
    raise OSError(f"no free port from {_RANGE[0]} to {_RANGE[1]}")
