"""A TCP proxy on loopback that breaks connections on command.

Directions: "request" (client to server) and "reply" (server to client). As a program it prints `ready
http://127.0.0.1:PORT control URL`.

Control API under /_control/:
  POST  mode     {"mode": "pass" | "refuse" | "blackhole"}: forward; answer connects with a reset; accept and forward nothing, either way
  POST  cut      {} cuts every connection now; {"direction": D, "bytes": N, "times": T} cuts the connection that carries the N-th byte in
                 that direction from now on, T times (default 1); {"reset": true} ends them with a reset instead of an
                 end of file
  POST  shape    {"direction": D, "stall": bool, "delay": SECONDS, "chunk": BYTES, "pause": SECONDS}: hold back all bytes; add delay; send
                 chunk bytes at a time with a pause after each (chunk 1: byte by byte)
  POST  clear    {}: back to pass, nothing stalled, shaped or armed
  POST  abandon  {}: connections that are open now carry nothing more, and do not end; new ones are not touched
  GET   stats    connections (accepted so far), open, cuts, bytes {request, reply}
"""

import contextlib
import socket
import struct
import sys
import threading
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import ports, service  # noqa: E402
from services.events import EventLog  # noqa: E402
from services.faults import FaultScript  # noqa: E402
from services.httpd import Response  # noqa: E402
from services.ports import HOST  # noqa: E402

DIRECTIONS = ("request", "reply")
MODES = ("pass", "refuse", "blackhole")
_BLOCK = 64 * 1024


class _Shape:
    """What happens to the bytes of one direction."""

    def __init__(self):
        self.stall, self.delay, self.chunk, self.pause = False, 0.0, _BLOCK, 0.0
        self.cut_after = None  # bytes left until the cut, or None
        self.cut_every = 0
        self.cut_times = 0
        self.total = 0


class Proxy:
    """Forwards port -> target. All calls are safe from any thread and act at once, on open connections too."""

    def __init__(self, target_port, port=0, target_host=HOST):
        self._target = (target_host, target_port)
        self._port = port
        self._socket = None
        self._mode = "pass"
        self._reset = False
        self._links = set()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._shapes = {direction: _Shape() for direction in DIRECTIONS}
        self._closed = False
        self.accepted = 0
        self.cuts = 0

    @property
    def port(self):
        return self._port

    @property
    def url(self):
        return f"http://{HOST}:{self._port}"

    def start(self):
        self._bind()
        self._listen()
        return self

    def stop(self):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        _close(self._socket)
        self.cut()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # Commands

    def set_mode(self, mode, cut=True):
        """pass, refuse or blackhole. refuse also cuts what is open, unless cut is false."""
        if mode not in MODES:
            raise ValueError(f"no such mode: {mode}")
        with self._changed:
            was, self._mode = self._mode, mode
            self._changed.notify_all()
            if mode == "refuse" and was != "refuse":
                _close(self._socket)
                self._bind()  # bound but not listening: the port stays ours, and connects are refused
            elif was == "refuse" and mode != "refuse":
                self._listen()
        if mode == "refuse" and cut:
            self.cut()

    def target(self, port):
        """New connections go to this port."""
        self._target = (self._target[0], port)

    def cut(self, reset=False):
        """Ends every open connection."""
        with self._lock:
            links = list(self._links)
            self.cuts += len(links)
        for link in links:
            link.cut(reset)

    def abandon(self):
        """Every open connection stays open and carries nothing more: what a router that lost its state does."""
        with self._changed:
            for link in self._links:
                link.dead = True

    def cut_after(self, direction, count, times=1, reset=False):
        """Ends the connection that carries the count-th byte in this direction from now on; then counts anew, `times`
        times."""
        with self._changed:
            shape = self._shapes[direction]
            shape.cut_after, shape.cut_every, shape.cut_times, self._reset = count, count, times, reset

    def shape(self, direction, stall=None, delay=None, chunk=None, pause=None):
        """Changes how the bytes of one direction travel; None leaves a property as it is."""
        with self._changed:
            shape = self._shapes[direction]
            for name, value in (("stall", stall), ("delay", delay), ("chunk", chunk), ("pause", pause)):
                if value is not None:
                    setattr(shape, name, value)
            self._changed.notify_all()

    def clear(self):
        """Back to plain forwarding."""
        with self._changed:
            for shape in self._shapes.values():
                total = shape.total
                shape.__init__()
                shape.total = total
        self.set_mode("pass")

    def stats(self):
        with self._lock:
            return {
                "connections": self.accepted,
                "open": len(self._links),
                "cuts": self.cuts,
                "mode": self._mode,
                "bytes": {direction: shape.total for direction, shape in self._shapes.items()},
            }

    # Inside

    def _bind(self):
        self._socket = ports.bind(self._port)
        self._port = self._socket.getsockname()[1]

    def _listen(self):
        self._socket.listen(512)
        threading.Thread(target=self._accept, args=(self._socket,), daemon=True, name="proxy-accept").start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._open, args=(client,), daemon=True, name="proxy-open").start()

    def _open(self, client):
        link = _Link(self, client)
        with self._lock:
            self._links.add(link)
            late = self._mode == "refuse"  # it was accepted before that, and cut() has not seen it
        if late:
            link.cut(reset=True)
            return
        if not self._await_pass(link):
            return
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            link.cut(reset=True)
            return
        server.settimeout(None)
        link.run(server)

    def _await_pass(self, link):
        """Waits while nothing may be forwarded; False when the link ended meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or link.ended or not (link.dead or self._mode == "blackhole"))
            return not self._closed and not link.ended

    def _await_turn(self, link, direction):
        """Waits while this direction is held back; False when the link ended meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or link.ended
                    or not (link.dead or self._mode == "blackhole" or self._shapes[direction].stall)
                )
            )
            delay = self._shapes[direction].delay
            if delay:
                self._changed.wait_for(lambda: self._closed or link.ended, delay)
            return not self._closed and not link.ended

    def _next_piece(self, direction, left):
        """(how many of the `left` bytes go now, pause after them, whether the connection ends after them)."""
        with self._lock:
            shape = self._shapes[direction]
            size = min(left, max(1, shape.chunk))
            cut = shape.cut_after is not None and size >= shape.cut_after
            if cut:
                size = shape.cut_after
                shape.cut_times -= 1
                shape.cut_after = shape.cut_every if shape.cut_times > 0 else None
                self.cuts += 1
            elif shape.cut_after is not None:
                shape.cut_after -= size
            shape.total += size
            return size, shape.pause, cut

    def _forget(self, link):
        with self._changed:
            self._links.discard(link)
            self._changed.notify_all()


class _Link:
    """One client connection and its server connection."""

    def __init__(self, proxy, client):
        self._proxy = proxy
        self._client = client
        self._server = None
        self.ended = self.dead = False

    def run(self, server):
        self._server = server
        if self.ended:
            self.cut(False)
            return
        for sock in (self._client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(
            target=self._pump, args=("reply", server, self._client), daemon=True, name="proxy-reply"
        ).start()
        self._pump("request", self._client, server)

    def cut(self, reset):
        self.ended = True
        for sock in filter(None, (self._client, self._server)):
            if reset:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _close(sock, shut=not reset)
        self._proxy._forget(self)

    def _pump(self, direction, source, sink):
        try:
            while True:
                data = source.recv(_BLOCK)
                if not data:
                    break
                if not self._proxy._await_turn(self, direction) or not self._forward(direction, data, sink):
                    return
            sink.shutdown(socket.SHUT_WR)
            if direction == "reply":
                self.cut(False)
        except OSError:
            self.cut(False)

    def _forward(self, direction, data, sink):
        """Sends the bytes as the shape says; False when the connection was cut."""
        at = 0
        while at < len(data):
            size, pause, cut = self._proxy._next_piece(direction, len(data) - at)
            sink.sendall(data[at : at + size])
            at += size
            if cut:
                self.cut(self._proxy._reset)
                return False
            if pause and at < len(data):
                threading.Event().wait(pause)
        return True


def _close(sock, shut=True):
    if shut:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class _ProxyControls(service.Controls):
    """The control API of the program."""

    def __init__(self, proxy):
        super().__init__(EventLog(), FaultScript())
        self._proxy = proxy
        self.controls = {
            "mode": self._mode,
            "cut": self._cut,
            "shape": self._shape,
            "clear": self._clear,
            "abandon": self._abandon,
            "stats": self._stats,
        }

    def _mode(self, request):
        self._proxy.set_mode(**request.json())
        return self._stats(request)

    def _cut(self, request):
        spec = request.json()
        if "bytes" in spec:
            self._proxy.cut_after(spec["direction"], spec["bytes"], spec.get("times", 1), spec.get("reset", False))
        else:
            self._proxy.cut(spec.get("reset", False))
        return self._stats(request)

    def _shape(self, request):
        self._proxy.shape(**request.json())
        return self._stats(request)

    def _clear(self, request):
        self._proxy.clear()
        return self._stats(request)

    def _abandon(self, request):
        self._proxy.abandon()
        return self._stats(request)

    def _stats(self, _request):
        return Response.json(self._proxy.stats())


def main(argv=None):
    options = service.parser(__doc__, tls=False)
    options.add_argument("--target", type=int, required=True, metavar="PORT", help="where connections go, on loopback")
    args = options.parse_args(argv)
    proxy = Proxy(args.target, args.port)
    return service.run_with_control(proxy, _ProxyControls(proxy), args.control_port)


if __name__ == "__main__":
    sys.exit(main())
