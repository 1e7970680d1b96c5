"""What every HTTP test service shares: start and stop, the control API, the command line, and running one as a child
process.

Control API, under /_control/, never faulted and never authenticated:
  POST   faults    {"rules": [...]} or [...] or one rule: append fault rules (services/faults.py)
  GET    faults    the rules with counters: seen, fired
  DELETE faults    drop all rules
  GET    log       {"events": [...], "next": N}; ?since=N, ?kind=K, ?wait=SECONDS blocks until an event of that kind is there
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

from services import ports
from services.events import EventLog
from services.faults import FaultScript
from services.httpd import HttpServer, Response

TESTS_DIR = Path(__file__).resolve().parents[1]


class Controls:
    """The routes of a control API; subclasses add to `controls` (name -> function(request) -> Response)."""

    def __init__(self, log, faults):
        self.log = log
        self.faults = faults
        self.controls = {"faults": self._control_faults, "log": self._control_log}

    def control(self, request):
        """Answers one request to /_control/NAME."""
        control = self.controls.get(request.path[len("/_control/") :])
        if control is None:
            return Response.json({"error": "no such control", "controls": sorted(self.controls)}, 404)
        try:
            return control(request)
        except (ValueError, KeyError, TypeError) as error:
            return Response.json({"error": f"{type(error).__name__}: {error}"}, 400)

    def _control_faults(self, request):
        if request.method == "POST":
            rules = request.json()
            if isinstance(rules, dict):
                rules = rules.get("rules", [rules])
            self.faults.add(*rules)
        elif request.method == "DELETE":
            self.faults.clear()
        return Response.json({"rules": self.faults.describe()})

    def _control_log(self, request):
        since = int(request.query.get("since", 0))
        kind = request.query.get("kind")
        if "wait" in request.query:
            self.log.wait(lambda event: kind in (None, event["kind"]), float(request.query["wait"]), since)
        events = self.log.since(since)
        shown = [event for event in events if kind in (None, event["kind"])]
        return Response.json({"events": shown, "next": since + len(events)}, indent=None)


class HttpService(Controls):
    """Base of the HTTP services: subclasses implement handle(request)."""

    fault_types = ()

    def __init__(self, port=0, cert=None, key=None):
        super().__init__(EventLog(), FaultScript(self.fault_types))
        self._server = HttpServer(self._dispatch, port, cert, key, self.faults, observer=self._observe)

    @property
    def port(self):
        return self._server.port

    @property
    def url(self):
        return self._server.url

    def start(self):
        self._server.start()
        return self

    def stop(self):
        self._server.stop()

    def drain(self):
        """Returns when all is done that a client has asked for which is dead meanwhile."""
        self._server.drain()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def handle(self, request):
        """Answers one request that is not for the control API."""
        raise NotImplementedError

    def _dispatch(self, request):
        return self.control(request) if request.path.startswith("/_control/") else self.handle(request)

    def _observe(self, request, status, complete, began):
        if request.path.startswith("/_control/"):
            return
        self.log.add(
            "http",
            method=request.method,
            target=request.target,
            status=status,
            complete=complete,
            request_bytes=len(request.body),
            began=began,
            fault=request.fault and request.fault["type"],
        )


def parser(description, tls=True):
    """Options that every service has."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=0, help="0 (default) takes a free port")
    if not tls:
        options.add_argument(
            "--control-port", type=int, default=0, help="port of the control API; 0 (default) takes a free one"
        )
        return options
    options.add_argument("--tls-cert", metavar="FILE", help="serve https with this certificate (PEM)")
    options.add_argument("--tls-key", metavar="FILE")
    return options


def run(service, prepare=lambda: None):
    """Runs a service as a program: starts it, calls prepare(), prints the ready line, ends on SIGTERM or SIGINT with
    code 0."""
    end = EndSignal()
    service.start()
    prepare()
    print(f"ready {service.url}", flush=True)
    end.wait()
    service.stop()
    return 0


class EndSignal:
    """Catches SIGTERM and SIGINT from now on. The handler takes no lock: setting a threading.Event in one can deadlock
    its waiter."""

    def __init__(self):
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self):
        """Returns when one of them has come, also if that was before the call."""
        self._reader.recv(1)


def run_with_control(server, controls, control_port):
    """Like run(), for a server that does not speak HTTP itself: `ready URL control URL`, the second for the control
    API."""
    http = HttpServer(controls.control, control_port)
    pair = SimpleNamespace(
        url=None, start=lambda: (server.start(), http.start()), stop=lambda: (http.stop(), server.stop())
    )

    def name():
        pair.url = f"{server.url} control {http.url}"

    return run(pair, name)


class ServiceProcess:
    """A service of this folder as a child process: start, stop (SIGTERM), kill (SIGKILL), restart on the same port.

    name: module name without .py; args: its command line without --port.
    """

    def __init__(self, name, *args, port=0):
        self.name = name
        self.args = [str(arg) for arg in args]
        self.port = port
        self.url = None
        self.control_url = None
        self.process = None

    def start(self, timeout=60):
        """Starts it and waits for its ready line; RuntimeError when there is none (its standard error is ours)."""
        self.port = self.port or ports.free_port()  # ours, not the child's: it is kept over a restart
        command = [
            sys.executable,
            str(TESTS_DIR / "services" / f"{self.name}.py"),
            "--port",
            str(self.port),
            *self.args,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line.startswith("ready "):
            self.process.wait()
            raise RuntimeError(f"{self.name} did not start: exit code {self.process.returncode}, said {line!r}")
        self.url = line.split()[1]
        self.control_url = line.split()[-1]
        return self

    def stop(self, timeout=10):
        """Ends it with SIGTERM; returns its exit code."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self):
        """Ends it with SIGKILL: what was not committed is gone."""
        return self._end(signal.SIGKILL, 10)

    def restart(self):
        self.stop()
        return self.start()

    def _end(self, number, timeout):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.process = None
        return code

    def control(self, name, body=None, method=None, context=None):
        """Calls the control API; body is sent as JSON by POST."""
        return control(self.control_url, name, body, method, context)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def control(url, name, body=None, method=None, context=None):
    """One call of a control API: GET without a body, POST with one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}/_control/{name}",
        data,
        {"Content-Type": "application/json"},
        method=method or ("GET" if body is None else "POST"),
    )
    with urllib.request.urlopen(request, timeout=60, context=context) as reply:
        return json.load(reply)


def wait_until(condition, timeout=60, step=0.02):
    """Polls condition() until it is true; returns its value, or raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError("condition not met in time")
        time.sleep(step)
