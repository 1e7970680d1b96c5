"""A small threaded HTTP/1.1 server that can misbehave on purpose.

One thread a connection, keep-alive, optional TLS. Fault rules (services.faults) act on the bytes of a reply, which is
why this is not built on http.server: a test needs to cut, truncate, stall or trickle at a chosen byte.
"""

import contextlib
import gzip
import json
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
import urllib.parse
from http import HTTPStatus

from services import ports
from services.ports import HOST

MAX_LINE = 64 * 1024
MAX_HEADERS = 200
MAX_BODY = 64 * 1024 * 1024  # beyond it the connection is answered 413 and closed
SEND_CHUNK = 64 * 1024


class Request:
    """One request, read whole. `fault` is the action of the fault rule that matched it, or None."""

    def __init__(self, method, target, headers, body, version="HTTP/1.1"):
        self.method = method
        self.target = target
        self.headers = headers  # names in lower case
        self.body = body
        self.version = version
        self.path, _, query = target.partition("?")
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(query, keep_blank_values=True).items()}
        self.fault = None

    def json(self):
        """The body as JSON; an empty body is an empty object."""
        return json.loads(self.body or b"{}")


class Response:
    """What a handler returns. `on_sent(complete)` is called after the last byte went to the kernel, or after the
    attempt failed."""

    def __init__(
        self, status=200, body=b"", headers=None, content_type="application/json; charset=UTF-8", on_sent=None
    ):
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = {"Content-Type": content_type, **(headers or {})}
        self.on_sent = on_sent

    def sent(self, complete):
        if self.on_sent:
            self.on_sent(complete)

    @classmethod
    def json(cls, value, status=200, headers=None, indent=2, on_sent=None):
        text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
        return cls(status, (text + "\n").encode("utf-8", "surrogatepass"), headers, on_sent=on_sent)


class BadRequest(Exception):
    """The bytes on the wire are not an HTTP request that this server takes."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class _Hangup(Exception):
    """A fault asked for the connection to be closed now."""


class HttpServer:
    """Listens on loopback and answers each request with handler(request) -> Response.

    faults: a services.faults.FaultScript, or None. exempt: path prefix that no fault touches.
    observer(request, status, complete, began): called once a request; status is None when nothing was answered.
    client_ca: whoever connects must show a certificate of that authority.
    """

    def __init__(
        self, handler, port=0, cert=None, key=None, faults=None, exempt="/_control/", observer=None, client_ca=None
    ):
        self._handler = handler
        self._faults = faults
        self._exempt = exempt
        self._observer = observer or (lambda *_: None)
        self._tls = _tls_context(cert, key, client_ca) if cert else None
        self._want_port = port
        self._listener = None
        self._connections = set()
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def port(self):
        return self._listener.getsockname()[1]

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    def start(self):
        listener = ports.bind(self._want_port)
        listener.listen(512)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="httpd-accept").start()
        return self

    def stop(self):
        """Closes the listener and every connection; requests in progress get no reply."""
        self.stopping.set()
        if self._listener:
            _shut(self._listener)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _shut(connection)

    def drain(self, timeout=60):
        """Returns when all is done that a client has asked for which is dead meanwhile: no connection is open any
        more."""
        with socket.create_connection((HOST, self.port), timeout) as last:  # behind those that wait to be accepted
            last.shutdown(socket.SHUT_WR)
            last.settimeout(timeout)
            with contextlib.suppress(ConnectionError):
                last.recv(1)
        deadline = time.monotonic() + timeout
        while self._connections:
            if time.monotonic() > deadline:
                raise TimeoutError("a connection is still open")
            time.sleep(0.01)

    def _accept(self, listener):
        while not self.stopping.is_set():
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(raw)
            threading.Thread(target=self._serve, args=(raw,), daemon=True, name="httpd-connection").start()

    def _serve(self, raw):
        sock = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._connections.add(sock)
            with sock.makefile("rb", buffering=SEND_CHUNK) as stream:
                while self._serve_one(sock, stream):
                    pass
        except (OSError, ValueError, _Hangup):
            pass
        finally:
            with self._lock:
                self._connections.discard(raw)
                self._connections.discard(sock)
            _shut(sock)

    def _serve_one(self, sock, stream):
        """Reads and answers one request; True when the connection stays open."""
        try:
            request = read_request(sock, stream)
        except BadRequest as bad:
            _send_all(sock, _head(bad.status, {"Connection": "close"}, 0))
            return False
        if request is None:
            return False
        began = time.monotonic()
        exempt = self._exempt and request.path.startswith(self._exempt)
        if self._faults and not exempt:
            request.fault = self._faults.pick(request.method, request.target)
        status = None
        complete = False
        try:
            response = self._respond(request)
            status = response.status
            keep, complete = self._send(sock, request, response)
            return keep and request.headers.get("connection", "").lower() != "close" and request.version != "HTTP/1.0"
        finally:
            self._observer(request, status, complete, began)

    def _respond(self, request):
        """The reply to send, after those faults that come before or instead of it."""
        fault = request.fault or {}
        kind = fault.get("type")
        if kind == "stall":
            if fault.get("applied"):
                self._handle(request).sent(False)
            self.stopping.wait(fault.get("seconds", 3600))
            raise _Hangup
        if kind == "cut" and fault.get("when", "before") == "before":
            raise _Hangup
        if kind == "delay":
            self.stopping.wait(fault.get("seconds", 1))
        if kind == "status":
            if fault.get("applied"):
                self._handle(request).sent(False)
            return self._faults.response(fault)
        response = self._handle(request)
        if kind == "cut" and fault.get("when") == "after":
            response.sent(False)
            raise _Hangup
        return response

    def _handle(self, request):
        try:
            return self._handler(request)
        except Exception:  # a bug in a test service must be seen, and must not look like a fault of the network
            if not self.stopping.is_set():
                traceback.print_exc(file=sys.stderr)
            return Response.json(
                {"error": {"code": 500, "message": "bug in the test service", "status": "INTERNAL"}}, 500
            )

    def _send(self, sock, request, response):
        """Writes the reply as the fault wants it; returns (keep the connection, whole reply written)."""
        fault = request.fault or {}
        body = b"" if request.method == "HEAD" else response.body
        data = _head(response.status, response.headers, len(response.body)) + body
        head_size = len(data) - len(body)
        complete = False
        try:
            if fault.get("type") == "cut" and fault.get("when") == "mid":
                _send_all(sock, data[: fault.get("bytes", head_size + len(body) // 2)])
            elif fault.get("type") == "truncate":
                _send_all(sock, data[: head_size + max(0, len(body) - fault.get("missing", 1 + len(body) // 2))])
            elif fault.get("type") == "hold":
                _send_all(sock, data[: len(data) // 2])
                fault["until"].wait()
                _send_all(sock, data[len(data) // 2 :])
                complete = True
            elif fault.get("type") == "slow":
                self._trickle(sock, data, fault.get("bytes_per_second", 1000))
                complete = True
            else:
                _send_all(sock, data)
                complete = True
        except OSError:
            pass
        finally:
            response.sent(complete)
        if not complete and fault.get("reset"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return complete, complete

    def _trickle(self, sock, data, rate):
        step = max(1, int(rate / 20))
        for start in range(0, len(data), step):
            sock.sendall(data[start : start + step])
            if self.stopping.wait(step / rate):
                raise _Hangup


def read_request(sock, stream):
    """One request from the stream; None at a clean end, BadRequest when it is malformed."""
    line = stream.readline(MAX_LINE)
    if not line:
        return None
    parts = line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest(400)
    headers = _read_headers(stream)
    if headers.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(stream, headers)
    if headers.get("content-encoding", "").lower() == "gzip":
        body = gzip.decompress(body)
    return Request(parts[0], parts[1], headers, body, parts[2])


def _read_headers(stream):
    headers = {}
    for _ in range(MAX_HEADERS):
        line = stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise BadRequest(400)
        if line in (b"\r\n", b"\n"):
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequest(400)
        headers[name.strip().lower()] = value.strip()
    raise BadRequest(431)


def _read_body(stream, headers):
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunked(stream)
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequest(400)
    if int(length) > MAX_BODY:
        raise BadRequest(413)
    return _read_exactly(stream, int(length))


def _read_chunked(stream):
    body = bytearray()
    while True:
        try:
            size = int(stream.readline(MAX_LINE).split(b";")[0], 16)
        except ValueError:
            raise BadRequest(400) from None
        if size == 0:
            break
        if size < 0 or len(body) + size > MAX_BODY:
            raise BadRequest(413)
        body += _read_exactly(stream, size)
        stream.readline(MAX_LINE)
    while stream.readline(MAX_LINE) not in (b"\r\n", b"\n", b""):
        pass
    return bytes(body)


def _read_exactly(stream, size):
    data = stream.read(size)
    if len(data) != size:
        raise _Hangup
    return data


def _head(status, headers, length):
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    fields = {
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        **headers,
        "Content-Length": str(length),
    }
    lines = [f"HTTP/1.1 {status} {reason}"] + [
        f"{name}: {value}" for name, value in fields.items() if value is not None
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _send_all(sock, data):
    view = memoryview(data)
    for start in range(0, len(view), SEND_CHUNK):
        sock.sendall(view[start : start + SEND_CHUNK])


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


def _tls_context(cert, key, client_ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
