"""Ports of loopback for the services.

A service that is killed and started again needs its old port. From the kernel's ephemeral range (32768 and up on Linux) any outgoing
connection may take it meanwhile, even the client's own next try, which then connects to itself; so free ports are drawn below it.
"""
import random
import socket

HOST = "127.0.0.1"
_RANGE = (20000, 32000)
_TRIES = 200


def bind(port=0):
    """A TCP socket bound on loopback, not yet listening; port 0 draws a free one."""
    return _bind_to(port) if port else _bind_free()


def free_port():
    """A port that was free a moment ago, for servers that cannot be handed a socket."""
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
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((HOST, random.SystemRandom().randint(*_RANGE)))  # without SO_REUSEADDR: nobody else may hold it
        except OSError:
            sock.close()
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock
    raise OSError(f"no free port from {_RANGE[0]} to {_RANGE[1]}")
