"""Slack, Discord, ntfy, LINE and a plain webhook on one HTTP server, as strict as the real ones about what they
take."""

import json
import re
import threading
import time

from services.httpd import HttpServer, Response

SLACK = "/services/T00/B00/4Hd8sK2p9QxZtAbC"
DISCORD = "/api/webhooks/1/k3yOfD1scord/slack"
LINE = "/v2/bot/message/push"
LINE_TOKEN = "l1ne-channel-t0ken"
HOOK = "/hook"


class Message:
    """One that was accepted."""

    def __init__(self, service, text, key=None, body=None):
        self.service, self.text, self.key, self.body, self.at = service, text, key, body, time.time()

    def __repr__(self):
        return f"<{self.service}: {self.text!r}>"


def as_read(content):
    """What Discord shows of markdown: a backslash goes, and what it does not stand before is marked, when it would
    become bold, a list or a link."""
    return re.sub(
        r"\\([^0-9A-Za-z\s])|([*_~|`\[\]<>]|^#)", lambda match: match[1] or f"MARKDOWN {match[2]}", content, flags=re.M
    )


class AlertTargets:
    """`moods[service]()`: None, as the service would answer; a status; "page" for 200 with a web page. faults: a
    services.faults.FaultScript."""

    def __init__(self, faults=None):
        self.lock = threading.Lock()
        self.accepted, self.tried, self.moods, self.keys = [], [], {}, {}
        self.retry_after = None
        self._server = HttpServer(self._handle, faults=faults)

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop()

    @property
    def url(self):
        return self._server.url

    def texts(self, service):
        """Lines of what the service accepted, in order."""
        with self.lock:
            return [
                line for message in self.accepted if message.service == service for line in message.text.split("\n")
            ]

    def _handle(self, request):
        if request.method == "GET":
            right = request.headers.get("authorization") == f"Bearer {LINE_TOKEN}"
            return Response.json(
                {"userId": "U0"} if right else {"message": "Authentication failed"}, 200 if right else 401
            )
        path = re.sub("^/api/v10/", "/api/", request.path)
        service = {
            SLACK: "slack",
            DISCORD.removesuffix("/slack"): "discord",
            LINE: "line",
            HOOK: "hook",
            "/": "ntfy",
        }.get(path)
        if service is None:
            return Response(404, "no_service", content_type="text/plain")
        with self.lock:
            self.tried.append(service)
            mood = self.moods.get(service, lambda: None)()
        if isinstance(mood, int):
            unit = (
                1000 if request.path.startswith("/api/webhooks/") else 1
            )  # of Discord's API before version 8, which is that of an address without one
            return Response(
                mood,
                "as you wish",
                {"Retry-After": str(self.retry_after * unit)} if self.retry_after else {},
                "text/plain",
            )
        if mood == "page":
            return Response(200, "<!DOCTYPE html><title>Log in</title>", content_type="text/html")
        return getattr(self, "_" + service)(request, json.loads(request.body))

    def _accept(self, *message):
        with self.lock:
            self.accepted.append(Message(*message))

    def _slack(self, request, body):
        if not isinstance(body.get("text"), str) or not body["text"]:
            return Response(400, "invalid_payload", content_type="text/plain")
        if len(body["text"]) > 40000:
            return Response(400, "msg_too_long", content_type="text/plain")
        self._accept("slack", body["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"), None, body)
        return Response(200, "ok", content_type="text/html")  # so it is called

    def _discord(self, request, body):
        content = body.get("content")
        if not isinstance(content, str) or not content:
            return Response.json({"message": "Cannot send an empty message", "code": 50006}, 400)
        if len(content) > 2000:
            return Response.json({"content": ["Must be 2000 or fewer in length."]}, 400)
        self._accept("discord", as_read(content), None, body)
        return Response(204, content_type="text/html; charset=utf-8")

    def _ntfy(self, request, body):
        if not body.get("topic") or len(body.get("message", "").encode()) > 4096:
            return Response.json({"code": 40024, "http": 400, "error": "invalid request"}, 400)
        self._accept("ntfy", body["message"], None, body)
        return Response.json({"id": "x1", "event": "message"})

    def _line(self, request, body):
        key = request.headers.get("x-line-retry-key")
        if request.headers.get("authorization") != f"Bearer {LINE_TOKEN}":
            return Response.json({"message": "Authentication failed"}, 401)
        texts = [message["text"] for message in body["messages"]]
        if any(len(text.encode("utf-16-le")) > 10000 for text in texts):
            return Response.json({"message": "The request body has 1 error(s)"}, 400)
        with self.lock:
            if key in self.keys:
                return Response.json({"message": "The retry key is already accepted"}, 409)
            self.keys[key] = texts
        self._accept("line", "\n".join(texts), key, body)
        return Response.json({"sentMessages": [{"id": "1"}]})

    def _hook(self, request, body):
        self._accept("hook", body.get("message") or json.dumps(body), request.headers.get("idempotency-key"), body)
        return Response(204, content_type="text/html; charset=utf-8")
