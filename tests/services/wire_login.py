"""Logins of the scripted MongoDB server, as its side of the protocol: SCRAM-SHA-1, SCRAM-SHA-256 (RFC 5802, with
MongoDB's digest of the password for the first), and MONGODB-X509, where the subject of the client's certificate is the
user."""

import base64
import hashlib
import hmac
import os

MECHANISMS = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
SALTS = {"SCRAM-SHA-1": 16, "SCRAM-SHA-256": 28}  # bytes, as MongoDB draws them and drivers insist
ITERATIONS = 4096  # the least that drivers take


class Refused(Exception):
    """Wrong name, password or certificate."""


class Login:
    """The login of one connection. user: (name, password); of MONGODB-X509: (subject, None). subject: of the client's
    certificate, or None."""

    def __init__(self, mechanism, user, subject=None):
        self.mechanism, self.user, self.subject = mechanism, user, subject
        self.done = False
        self._salt, self._messages = os.urandom(SALTS.get(mechanism, 0)), []

    def answer(self, command, document):
        """The reply's fields to saslStart, saslContinue or authenticate; Refused otherwise."""
        if document["mechanism"] != self.mechanism if "mechanism" in document else command == "saslStart":
            raise Refused(f"no such mechanism: {document.get('mechanism')}")
        if command == "authenticate":
            return self._certificate()
        payload = bytes(document["payload"]).decode()
        step = self._first if command == "saslStart" else self._last
        return {"conversationId": 1, "done": self.done, "payload": b""} if self.done else step(payload)

    def _certificate(self):
        if self.mechanism != "MONGODB-X509" or self.subject != self.user[0]:
            raise Refused(f"there is no user {self.subject}")
        self.done = True
        return {"dbname": "$external", "user": self.subject}

    def _first(self, payload):
        bare = payload.removeprefix("n,,")
        fields = _fields(bare)
        if fields["n"] != self.user[0]:
            raise Refused(f"there is no user {fields['n']}")
        nonce = fields["r"] + base64.b64encode(os.urandom(18)).decode()
        first = f"r={nonce},s={base64.b64encode(self._salt).decode()},i={ITERATIONS}"
        self._messages = [bare, first]
        return {"conversationId": 1, "done": False, "payload": first.encode()}

    def _last(self, payload):
        name = MECHANISMS[self.mechanism]
        bare, _, proof = payload.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(name, self._password().encode(), self._salt, ITERATIONS)
        whole = ",".join([*self._messages, bare]).encode()
        key = hmac.digest(salted, b"Client Key", name)
        signature = hmac.digest(hashlib.new(name, key).digest(), whole, name)
        if bytes(a ^ b for a, b in zip(key, signature)) != base64.b64decode(proof):
            raise Refused("wrong password")
        self.done = True
        verifier = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", name), whole, name)).decode()
        return {"conversationId": 1, "done": False, "payload": f"v={verifier}".encode()}

    def _password(self):
        name, password = self.user
        return (
            hashlib.md5(f"{name}:mongo:{password}".encode()).hexdigest()
            if self.mechanism == "SCRAM-SHA-1"
            else password
        )


def _fields(text):
    return dict(part.split("=", 1) for part in text.split(","))


def subject_of(certificate):
    """As MongoDB names a user by ssl.SSLSocket.getpeercert(): the last part first, RFC 2253."""
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU"}
    parts = [f"{short[name]}={value}" for group in (certificate or {}).get("subject", ()) for name, value in group]
    return ",".join(reversed(parts)) or None
