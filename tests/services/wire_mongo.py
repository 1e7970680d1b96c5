"""A scripted MongoDB server: the wire protocol with a small store in memory, for replies that a real server cannot be
made to give.

Speaks OP_MSG (and OP_QUERY for the first hello). Commands: hello, ping, buildInfo, insert, update (of nothing), find
(by _id, {"_id": {"$in": [...]}}, or all), getMore, killCursors, count, createIndexes, listIndexes, listCollections,
connectionStatus, endSessions. Inserts keep _id unique; with retryable writes a repeated (lsid, txnNumber) answers the
first result. As a program it prints `ready http://127.0.0.1:PORT control URL`.

A script is a list of rules as in services/faults.py, matched against "COMMAND DB.COLLECTION" (e.g. "^insert
home.readings$", "^hello", "^saslStart"); a hello of any age is called hello. Action types:
  drop        close the connection, nothing applied
  drop_reply  apply, then close without a reply
  no_reply    apply if applied is true, then never answer (seconds: close after so long)
  error       command failure: code, codeName, errmsg, labels ([...]); applied: true applies first
  reply       apply and answer, with any of: delay SECONDS, write_errors [{index, code, errmsg, ...}] (those documents are not stored),
              odd {code, errmsg, ...} (the write error of each document that has a field `odd`),
              write_concern_error {code, errmsg, ...}, n (a wrong count), doubles true (all numbers as doubles), chunk
              BYTES (reply in small writes), labels [...], extra {...} (more fields)

Control API under /_control/: faults and log as in services/service.py, and GET documents?ns=DB.COLLECTION (extended
JSON). Events of the log: command (command, ns, ids, txn, read: the read preference), applied (ns, ids), durable (ns,
ids: the journaled majority reply that confirms these _ids as stored or present is about to be sent), reply (command,
ns, ok, complete).
"""

import contextlib
import itertools
import socket
import ssl
import struct
import sys
import threading
import time
from pathlib import Path

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services import ports, service, wire_login  # noqa: E402
from services.events import EventLog  # noqa: E402
from services.faults import FaultScript  # noqa: E402
from services.httpd import Response  # noqa: E402
from services.ports import HOST  # noqa: E402

_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_CHECKSUM, _MORE_TO_COME = 1, 2
_SIZE_ALLOWANCE = 16 * 1024
_FIRST_BATCH = 101
_REPLY_BYTES = 16 * 1024 * 1024
_NAMES = {"ismaster": "hello", "isMaster": "hello"}


class _Drop(Exception):
    """Close this connection now."""


class WireMongo:
    """The server. Attributes may be changed while it runs: max_write_batch_size, max_bson_object_size, standalone,
    retry_aware, majority_reads (False: finds with that read concern fail, as with enableMajorityReadConcern=false
    before MongoDB 5.0), members (ports of a replica set, the first of them the primary's; each then answers a monitor's
    hello only when the monitor's patience ends, as MongoDB 4.4 does), login ((mechanism, (user, password)): who has not
    logged in so is refused, see wire_login). tls: an object with .cert and .key (services.tls); tls_ca:
    clients need a certificate that this has signed."""

    def __init__(
        self,
        port=0,
        standalone=False,
        max_write_batch_size=100000,
        max_bson_object_size=16 * 1024 * 1024,
        retry_aware=True,
        tls=None,
        tls_ca=None,
    ):
        self.log = EventLog()
        self.script = FaultScript(("drop", "drop_reply", "no_reply", "error", "reply"))
        self.standalone = standalone
        self.max_write_batch_size = max_write_batch_size
        self.max_bson_object_size = max_bson_object_size
        self.retry_aware = retry_aware
        self.majority_reads = True
        self.members = []
        self.login = None
        self._tls = _tls_context(tls, tls_ca) if tls else None
        self._port = port
        self._listener = None
        self._connections = set()
        self._stopping = threading.Event()
        self._lock = threading.RLock()
        self._collections = {}  # "db.collection" -> {encoded _id: document bytes}
        self._transactions = {}  # (lsid, txnNumber) -> first result
        self._cursors = {}
        self._cursor_ids = itertools.count(1)
        self._request_ids = itertools.count(1)

    @property
    def port(self):
        return self._port

    @property
    def url(self):
        return f"http://{HOST}:{self._port}"

    @property
    def uri(self):
        return f"mongodb://{HOST}:{self._port}/"

    def start(self):
        self._listener = ports.bind(self._port)
        self._listener.listen(128)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="wire-accept").start()
        return self

    def stop(self):
        self._stopping.set()
        with self._lock:
            sockets = [self._listener, *self._connections]
        for sock in sockets:
            _close(sock)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def documents(self, namespace):
        """All documents of "db.collection"."""
        with self._lock:
            return [bson.decode(raw) for raw in self._collections.get(namespace, {}).values()]

    def forget(self):
        """Empties the store (not the log)."""
        with self._lock:
            self._collections.clear()
            self._transactions.clear()

    # Connections

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True, name="wire-connection").start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain = sock
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            login = self.login and wire_login.Login(
                *self.login, wire_login.subject_of(sock.getpeercert()) if self._tls else None
            )
            while True:
                self._serve_one(sock, login, *_read_message(sock))
        except (OSError, _Drop, EOFError):
            pass
        finally:
            with self._lock:
                self._connections.discard(plain)
            _close(sock)

    def _serve_one(self, sock, login, request_id, opcode, command, wants_reply):
        first = next(iter(command))
        name = _NAMES.get(first, first)
        target = command[first] if isinstance(command[first], str) else "$cmd"
        namespace = f"{command.get('$db', 'admin')}.{command.get('collection', target)}"
        documents = command.get("documents", []) if name == "insert" else []
        ids = [document["_id"] for document in documents]
        self.log.add(
            "command",
            command=name,
            ns=namespace,
            ids=ids,
            txn=command.get("txnNumber"),
            read=command.get("$readPreference", {}).get("mode", "primary"),
        )
        action = self.script.pick(name, namespace) or {"type": "reply"}
        reply = _ask_login(login, name, command) or self._perform(name, namespace, command, action)
        confirmed = _confirmed(reply, ids, command)
        if confirmed:
            self.log.add("durable", ns=namespace, ids=confirmed)
        if wants_reply:
            self._send(
                sock, request_id, opcode, _doubled(reply) if action.get("doubles") else reply, action.get("chunk")
            )
        self.log.add("reply", command=name, ns=namespace, ok=reply["ok"], complete=wants_reply)

    def _perform(self, name, namespace, command, action):
        """Carries out the action; returns the reply, or raises _Drop."""
        kind = action["type"]
        if name == "hello" and self.members:
            self._stopping.wait(command.get("maxAwaitTimeMS", 0) / 1000)
        if kind == "drop":
            raise _Drop
        if kind == "error":
            if action.get("applied"):
                self._execute(name, namespace, command, {})
            return _failure(
                action.get("code", 8000),
                action.get("errmsg", "scripted failure"),
                action.get("codeName"),
                action.get("labels"),
            )
        if kind != "no_reply" or action.get("applied"):
            reply = self._execute(name, namespace, command, action)
        if kind == "no_reply":
            self._stopping.wait(action.get("seconds", 3600))
        if kind in ("drop_reply", "no_reply"):
            raise _Drop
        self._stopping.wait(action.get("delay", 0))
        return _adorned(reply, action)

    def _send(self, sock, request_id, opcode, reply, chunk):
        body = bson.encode(reply)
        if opcode == _OP_QUERY:
            opcode, body = _OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + body
        else:
            body = struct.pack("<IB", 0, 0) + body
        data = struct.pack("<iiii", 16 + len(body), next(self._request_ids), request_id, opcode) + body
        step = chunk or len(data)
        for at in range(0, len(data), step):
            sock.sendall(data[at : at + step])

    # Commands

    def _execute(self, name, namespace, command, action):
        handler = getattr(self, f"_do_{name}", None)
        if handler is None:
            return _failure(59, f"no such command: '{name}'", "CommandNotFound")
        with self._lock:
            return handler(namespace, command, action)

    def _do_hello(self, _namespace, _command, _action):
        reply = {
            "helloOk": True,
            "ismaster": True,
            "isWritablePrimary": True,
            "maxBsonObjectSize": self.max_bson_object_size,
            "maxMessageSizeBytes": 48000000,
            "maxWriteBatchSize": self.max_write_batch_size,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            "readOnly": False,
            "connectionId": 1,
            "localTime": _now(),
            "logicalSessionTimeoutMinutes": 30,
            "ok": 1.0,
        }
        if not self.standalone:
            me = f"{HOST}:{self._port}"
            reply.update(
                setName="scripted",
                setVersion=1,
                hosts=[me],
                me=me,
                primary=me,
                secondary=False,
                electionId=bson.ObjectId("7fffffff0000000000000001"),
            )
        if self.members:
            hosts = [f"{HOST}:{port}" for port in self.members]
            primary = self._port == self.members[0]
            reply.update(
                hosts=hosts,
                primary=hosts[0],
                isWritablePrimary=primary,
                ismaster=primary,
                secondary=not primary,
                topologyVersion={"processId": bson.ObjectId("7fffffff0000000000000002"), "counter": bson.Int64(1)},
            )
        return reply

    def _do_ping(self, *_):
        return {"ok": 1.0}

    _do_endSessions = _do_killCursors = _do_ping

    def _do_buildInfo(self, *_):
        return {
            "version": "7.0.0",
            "versionArray": [7, 0, 0, 0],
            "maxBsonObjectSize": self.max_bson_object_size,
            "ok": 1.0,
        }

    def _do_connectionStatus(self, *_):
        return {
            "authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": [], "authenticatedUserPrivileges": []},
            "ok": 1.0,
        }

    def _do_insert(self, namespace, command, action):
        transaction = self._transaction(command)
        if transaction in self._transactions:
            return dict(self._transactions[transaction])
        documents = command.get("documents", [])
        if not 1 <= len(documents) <= self.max_write_batch_size:
            return _failure(
                16,
                f"Write batch sizes must be between 1 and {self.max_write_batch_size}. Got {len(documents)} operations.",
                "InvalidLength",
            )
        scripted = {
            error["index"]: {"errmsg": "scripted write error", **error} for error in action.get("write_errors", [])
        }
        errors, stored = [], []
        for index, document in enumerate(documents):
            odd = (
                {"errmsg": "scripted write error", **action["odd"], "index": index}
                if "odd" in action and "odd" in document
                else None
            )
            error = odd or scripted.get(index) or self._store(namespace, index, document)
            if error:
                errors.append(error)
                if command.get("ordered", True):
                    break
            else:
                stored.append(document["_id"])
        self.log.add("applied", ns=namespace, ids=stored)
        reply = {"n": len(stored), **({"writeErrors": errors} if errors else {}), "ok": 1.0}
        if transaction:
            self._transactions[transaction] = dict(reply)
        return reply

    def _transaction(self, command):
        """What names a retryable write, or None."""
        if not self.retry_aware or "txnNumber" not in command or self.standalone:
            return None
        return bson.encode(command["lsid"]), command["txnNumber"]

    def _store(self, namespace, index, document):
        """Stores one document; returns a write error, or None."""
        raw = document.raw
        if len(raw) > self.max_bson_object_size + _SIZE_ALLOWANCE:
            return {"index": index, "code": 10334, "errmsg": f"object to insert too large. size in bytes: {len(raw)}"}
        key = bson.encode({"": document["_id"]})
        collection = self._collections.setdefault(namespace, {})
        if key in collection:
            return {
                "index": index,
                "code": 11000,
                "keyPattern": {"_id": 1},
                "keyValue": {"_id": document["_id"]},
                "errmsg": f"E11000 duplicate key error collection: {namespace} index: _id_ dup key: {{ _id: {document['_id']!r} }}",
            }
        collection[key] = raw
        return None

    def _do_find(self, namespace, command, _action):
        if not self.majority_reads and (command.get("readConcern") or {}).get("level") == "majority":
            return _failure(
                148,
                "Majority read concern requested, but it is not supported by the storage engine.",
                "ReadConcernMajorityNotEnabled",
            )
        query = command.get("filter") or {}
        if set(query) - {"_id"}:
            return _failure(2, "this server finds by _id only", "BadValue")
        collection = self._collections.get(namespace, {})
        found = list(collection.values())
        if "_id" in query:
            wanted = query["_id"]
            wanted = list(wanted["$in"]) if isinstance(wanted, dict | RawBSONDocument) and "$in" in wanted else [wanted]
            found = [
                collection[key]
                for key in dict.fromkeys(bson.encode({"": value}) for value in wanted)
                if key in collection
            ]
        found = found[: abs(command.get("limit", 0)) or None]
        return self._batch(
            namespace, found, command.get("batchSize", _FIRST_BATCH), "firstBatch", command.get("singleBatch")
        )

    def _do_getMore(self, namespace, command, _action):
        if command["getMore"] not in self._cursors:
            return _failure(43, "cursor not found", "CursorNotFound")
        rest = self._cursors.pop(command["getMore"])
        return self._batch(namespace, rest, command.get("batchSize") or len(rest), "nextBatch", False)

    def _batch(self, namespace, found, count, name, single):
        size, taken = 0, []
        for raw in found[:count]:
            size += len(raw)
            if taken and size > _REPLY_BYTES:
                break
            taken.append(RawBSONDocument(raw))
        rest = found[len(taken) :]
        cursor = next(self._cursor_ids) if rest and not single else 0
        if cursor:
            self._cursors[cursor] = rest
        return {"cursor": {"id": bson.Int64(cursor), "ns": namespace, name: taken}, "ok": 1.0}

    def _do_update(self, *_):
        return {"n": 0, "nModified": 0, "ok": 1.0}  # for updates that match nothing

    def _do_count(self, namespace, _command, _action):
        return {"n": len(self._collections.get(namespace, {})), "ok": 1.0}

    def _do_createIndexes(self, namespace, command, _action):
        before = 1 if namespace in self._collections else 0
        self._collections.setdefault(namespace, {})
        return {
            "numIndexesBefore": 1,
            "numIndexesAfter": 1 + len(command.get("indexes", [])),
            "createdCollectionAutomatically": not before,
            "ok": 1.0,
        }

    def _do_listIndexes(self, namespace, _command, _action):
        return {
            "cursor": {
                "id": bson.Int64(0),
                "ns": namespace,
                "firstBatch": [{"v": 2, "key": {"_id": 1}, "name": "_id_"}],
            },
            "ok": 1.0,
        }

    def _do_listCollections(self, namespace, command, _action):
        names = [ns.split(".", 1)[1] for ns in self._collections if ns.startswith(command["$db"] + ".")]
        listed = [{"name": name, "type": "collection", "options": {}} for name in names]
        return {
            "cursor": {"id": bson.Int64(0), "ns": f"{command['$db']}.$cmd.listCollections", "firstBatch": listed},
            "ok": 1.0,
        }


def _tls_context(tls, tls_ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    if tls_ca:
        context.load_verify_locations(tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _ask_login(login, name, command):
    """The reply to a command of a login, or to one that needs one; None: it may be carried out."""
    if name in ("saslStart", "saslContinue", "authenticate") and login:
        try:
            return {**login.answer(name, command), "ok": 1.0}
        except wire_login.Refused as refused:
            return _failure(18, f"Authentication failed: {refused}", "AuthenticationFailed")
    if login and not login.done and name != "hello":
        return _failure(13, f"command {name} requires authentication", "Unauthorized")
    return None


def _read_message(sock):
    """(request id, opcode, command, whether a reply is wanted) of the next message."""
    size, request_id, _, opcode = struct.unpack("<iiii", _read(sock, 16))
    body = _read(sock, size - 16)
    if opcode == _OP_QUERY:
        at = body.index(b"\0", 4) + 1 + 8
        return request_id, opcode, _inflate(RawBSONDocument(_slice(body, at))), True
    if opcode != _OP_MSG:
        raise _Drop
    flags = struct.unpack_from("<I", body)[0]
    end = len(body) - (4 if flags & _CHECKSUM else 0)
    return request_id, opcode, _read_sections(body, 4, end), not flags & _MORE_TO_COME


def _read_sections(body, at, end):
    command, sequences = {}, {}
    while at < end:
        kind, at = body[at], at + 1
        if kind == 0:
            raw = _slice(body, at)
            command, at = _inflate(RawBSONDocument(raw)), at + len(raw)
            continue
        stop = at + struct.unpack_from("<i", body, at)[0]
        zero = body.index(b"\0", at + 4)
        name, at = body[at + 4 : zero].decode(), zero + 1
        sequences[name] = []
        while at < stop:
            raw = _slice(body, at)
            sequences[name].append(RawBSONDocument(raw))
            at += len(raw)
    return {**command, **sequences}


def _slice(body, at):
    """The BSON document that begins there."""
    return bytes(body[at : at + struct.unpack_from("<i", body, at)[0]])


def _inflate(document):
    return dict(document.items())


def _read(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _confirmed(reply, ids, command):
    """The _ids that this reply confirms as durable: stored or present already, under majority and journal, without a
    concern error."""
    concern = command.get("writeConcern") or {}
    if (
        not ids
        or not reply["ok"]
        or "writeConcernError" in reply
        or concern.get("w") != "majority"
        or not concern.get("j")
    ):
        return []
    refused = {int(error["index"]) for error in reply.get("writeErrors", []) if error["code"] != 11000}
    return [identity for index, identity in enumerate(ids) if index not in refused]


def _failure(code, message, name=None, labels=None):
    reply = {"ok": 0.0, "errmsg": message, "code": code, "codeName": name or f"Location{code}"}
    if labels:
        reply["errorLabels"] = list(labels)
    return reply


def _adorned(reply, action):
    """The reply with what a `reply` action adds."""
    reply = {**reply, **action.get("extra", {})}
    if "write_concern_error" in action:
        reply["writeConcernError"] = {"errmsg": "scripted write concern error", **action["write_concern_error"]}
    if "labels" in action:
        reply["errorLabels"] = list(action["labels"])
    if "n" in action:
        reply["n"] = action["n"]
    return reply


def _doubled(value):
    """All integers as doubles."""
    if isinstance(value, dict):
        return {key: _doubled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_doubled(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _now():
    return bson.datetime_ms.DatetimeMS(int(time.time() * 1000))


def _close(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class _WireControls(service.Controls):
    """The control API of the program."""

    def __init__(self, server):
        super().__init__(server.log, server.script)
        self._server = server
        self.controls["documents"] = self._documents

    def _documents(self, request):
        documents = self._server.documents(request.query["ns"])
        return Response(200, json_util.dumps({"documents": documents}))


def main(argv=None):
    options = service.parser(__doc__, tls=False)
    options.add_argument("--standalone", action="store_true", help="no replica set in hello")
    options.add_argument("--max-write-batch-size", type=int, default=100000)
    options.add_argument("--max-bson-object-size", type=int, default=16 * 1024 * 1024)
    options.add_argument("--naive-retries", action="store_true", help="apply a repeated retryable write again")
    args = options.parse_args(argv)
    server = WireMongo(
        args.port, args.standalone, args.max_write_batch_size, args.max_bson_object_size, not args.naive_retries
    )
    return service.run_with_control(server, _WireControls(server), args.control_port)


if __name__ == "__main__":
    sys.exit(main())
