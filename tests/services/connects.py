"""Counts what tries to connect to loopback ports, as the kernel sees it: refused attempts reach no server that could
count them."""

import collections
import ctypes
import socket
import struct
import threading

_SO_ATTACH_FILTER = 26
# Classic BPF over the IP packet: TCP flags at 33 (loopback sends no IP options); SYN without ACK passes with its
# headers, all else is dropped.
_FILTER = [(0x30, 0, 0, 33), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 64), (0x06, 0, 0, 0)]
_PORT_AT = 22


class Connects:
    """PermissionError without CAP_NET_RAW. connects[port]: attempts so far, those of a repeated SYN too."""

    def __init__(self):
        self._counts = collections.Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _FILTER))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(program))
        )
        self._socket.settimeout(0.5)  # close() wakes no recv()
        threading.Thread(target=self._read, daemon=True, name="connects").start()

    def __getitem__(self, port):
        return self._counts[port]

    def _read(self):
        while True:
            try:
                packet = self._socket.recv(64)
            except TimeoutError:
                continue
            except OSError:
                return
            if len(packet) >= _PORT_AT + 2:
                self._counts[struct.unpack_from("!H", packet, _PORT_AT)[0]] += 1

    def close(self):
        self._socket.close()
