"""An HTTP proxy on loopback that knows CONNECT only, counts, and finds every host on this machine."""

import contextlib
import select
import socket
import socketserver
import threading


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        if method != "CONNECT":
            self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as there,
        ):
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.server.proxy.connects += 1
            self._carry(there)

    def _carry(self, there):
        ends = {self.connection: there, there: self.connection}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                ends[end].sendall(data)


class ConnectProxy:
    """connects: how many ways it has opened so far."""

    def __init__(self):
        self.connects = 0
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self
        self.port = self._server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="connect-proxy").start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
