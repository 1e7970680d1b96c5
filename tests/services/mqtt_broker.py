"""A broker of MQTT 5, or of 3.1.1 only, with one session, that a test steers: how it gives out packet identifiers, and what it hears."""

import contextlib
import socket
import struct
import threading

from services import ports

CONNECT, PUBACK, SUBSCRIBE, PINGREQ = 1, 4, 8, 12


class Broker:
    """With `counts` identifiers count up, as mosquitto does it; else the lowest that is free is taken. What is
    published while nobody is connected is as if it had been lost on its way: it comes with DUP."""

    def __init__(self, counts, grants=1, refuses=None):
        self.counts, self.grants, self.deaf = counts, grants, False  # deaf: to acknowledgements
        self.refuses = refuses  # MQTT 5, with these bytes; b"": only closes the connection
        self.more = b"" if refuses is not None else b"\0"  # the properties of MQTT 5: none
        self.flying, self.last, self.published, self.unheard, self.pings, self.subscribed = {}, 0, 0, 0, 0, 0
        self.known, self.connection = False, None
        self.lock = threading.Lock()
        self.listener = socket.create_server((ports.HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.listener.close()
        if self.connection:
            self.connection.close()

    def publish(self, topic, payload):
        with self.lock:
            packet_id = self.last + 1 if self.counts else next(n for n in range(1, 65536) if n not in self.flying)
            self.last = packet_id
            self.published += 1
            self.flying[packet_id] = (topic.encode(), payload.encode())
            self.send(packet_id, 0)

    def send(self, packet_id, dup):
        topic, payload = self.flying[packet_id]
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + self.more + payload
        with contextlib.suppress(OSError):
            if self.connection:
                self.connection.sendall(bytes([0x32 | dup << 3, len(body)]) + body)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                with connection, contextlib.suppress(OSError, EOFError):
                    self.talk(connection)
                with self.lock:
                    self.connection = None

    def talk(self, connection):
        with connection.makefile("rb") as stream:
            while head := stream.read(2):
                size, shift = head[1] & 127, 7
                while head[-1] & 128:
                    head += stream.read(1)
                    size, shift = size | (head[-1] & 127) << shift, shift + 7
                self.hear(connection, head[0] >> 4, stream.read(size))

    def hear(self, connection, kind, body):
        with self.lock:
            if kind == CONNECT and self.refuses is not None and body[6] == 5:
                connection.sendall(self.refuses)
                raise EOFError
            if kind == CONNECT:
                connection.sendall(bytes([0x20, 2 + len(self.more), self.known, 0]) + self.more)
                self.known, self.connection = True, connection
                for packet_id in self.flying:
                    self.send(packet_id, True)
            elif kind == SUBSCRIBE:
                connection.sendall(bytes([0x90, 3 + len(self.more), *body[:2], *self.more, self.grants]))
                self.subscribed += 1
            elif kind == PUBACK and self.deaf:
                self.unheard += 1
            elif kind == PUBACK:
                self.flying.pop(struct.unpack(">H", body[:2])[0], None)
            elif kind == PINGREQ and not self.deaf:
                connection.sendall(b"\xd0\x00")
                self.pings += 1
