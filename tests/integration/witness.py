"""A witness between sensorqd and MongoDB: forwards every byte, and notes when which `_id` was confirmed as durable.

An `_id` counts as durable from the moment at which a reply passes that confirms it (stored, or 11000: present already)
to an insert with `writeConcern: {w: "majority", j: true}`, without a write concern error. It is noted before the reply
is sent on, so whatever the daemon does with it comes later on the same clock.
"""

import contextlib
import socket
import struct
import threading
import time

import bson

_HEADER, _OP_MSG, _CHECKSUM = 16, 2013, 1


def _close(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _receive(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _documents(data, at, end):
    """The documents that lie between two offsets."""
    while at < end:
        size = struct.unpack_from("<i", data, at)[0]
        yield bson.decode(data[at : at + size])
        at += size


def _parse(message):
    """Command or reply of an OP_MSG as one dict."""
    end = len(message) - (4 if struct.unpack_from("<I", message, _HEADER)[0] & _CHECKSUM else 0)
    at, command = _HEADER + 4, {}
    while at < end:
        kind = message[at]
        size = struct.unpack_from("<i", message, at + 1)[0]
        if kind == 0:
            command.update(bson.decode(message[at + 1 : at + 1 + size]))
        else:
            zero = message.index(b"\0", at + 5)
            command[message[at + 5 : zero].decode()] = list(_documents(message, zero + 1, at + 1 + size))
        at += 1 + size
    return command


def confirmed(command, reply):
    """The `_id`s of an insert that this reply confirms as durable."""
    concern = command.get("writeConcern") or {}
    if concern.get("w") != "majority" or not concern.get("j") or not reply.get("ok") or "writeConcernError" in reply:
        return []
    refused = {int(error["index"]) for error in reply.get("writeErrors", []) if error["code"] != 11000}
    return [document["_id"] for index, document in enumerate(command["documents"]) if index not in refused]


class Witness:
    """Listens on `port`, forwards to 127.0.0.1:target. `durable`: {(namespace, _id): CLOCK_MONOTONIC of its first
    confirmation}."""

    def __init__(self, target):
        self.target = target
        self.durable = {}
        self.inserts = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        _close(self._socket)

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _close(client)
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            inserts = {}
            threading.Thread(
                target=self._pump, args=(client, server, lambda m, i=inserts: self._request(m, i)), daemon=True
            ).start()
            threading.Thread(
                target=self._pump, args=(server, client, lambda m, i=inserts: self._reply(m, i)), daemon=True
            ).start()

    def _pump(self, source, sink, look):
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = _receive(source, _HEADER)
                message = head + _receive(source, struct.unpack_from("<i", head)[0] - _HEADER)
                if struct.unpack_from("<i", head, 12)[0] == _OP_MSG:
                    look(message)
                sink.sendall(message)
        _close(source)
        _close(sink)

    def _request(self, message, inserts):
        command = _parse(message)
        if "insert" in command:
            inserts[struct.unpack_from("<i", message, 4)[0]] = command

    def _reply(self, message, inserts):
        command = inserts.pop(struct.unpack_from("<i", message, 8)[0], None)
        if command is None:
            return
        ids, now, namespace = (
            confirmed(command, _parse(message)),
            time.monotonic(),
            f"{command['$db']}.{command['insert']}",
        )
        with self._lock:
            self.inserts += 1
            for identity in ids:
                self.durable.setdefault((namespace, identity), now)
