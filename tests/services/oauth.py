"""Google's token endpoint and the GCE metadata server: issues access tokens and judges them.

Grants: jwt-bearer (a service account's signed assertion), refresh_token, and token-exchange (an identity of another
provider, which is answered here as well); and tokens in a service account's name (IAM Service Account Credentials API).
State (keys, clients, live tokens, assertions seen) is in SQLite, so tokens survive a kill -9 of the service as they
survive a restart of Google's.
"""

import json
import os
import secrets
import sqlite3
import threading
import time
import urllib.parse
from base64 import urlsafe_b64decode
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.httpd import Response

EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPES = {"https://www.googleapis.com/auth/pubsub", "https://www.googleapis.com/auth/cloud-platform"}
CLOCK_SKEW = 30  # seconds that iat may lie in the future
DEFAULT_EMAIL = "sensorqd@my-project.iam.gserviceaccount.com"
_TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in"
    " the JWT claim."
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys(email TEXT, kid TEXT, pem TEXT, PRIMARY KEY(email, kid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clients(refresh_token TEXT PRIMARY KEY, client_id TEXT, client_secret TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens(token TEXT PRIMARY KEY, subject TEXT, expires REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS assertions(assertion TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class _Refused(Exception):
    """The grant is refused: OAuth error code and description."""

    def __init__(self, error, description, status=400):
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class TokenService:
    """token_lifetime: seconds; expires_as_string: answer "expires_in" as a JSON string, as some servers do."""

    def __init__(self, log, state_dir=None, token_lifetime=3600, expires_as_string=False, project="my-project"):
        self.log = log
        self.token_lifetime = token_lifetime
        self.expires_as_string = expires_as_string
        self.project = project
        self.assertion_once = True  # Google takes it again; two processes of one second make the same
        self.identities = {}  # tokens of the other provider: whose
        self.impersonators = set()  # subjects that may ask for tokens in a service account's name
        self._lock = threading.Lock()
        if state_dir:
            os.makedirs(state_dir, exist_ok=True)
        self._db = sqlite3.connect(
            os.path.join(state_dir, "oauth.sqlite") if state_dir else ":memory:",
            check_same_thread=False,
            isolation_level=None,
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self):
        with self._lock:
            self._db.close()

    # Registering

    def register_key(self, email, key_id, public_pem):
        self._execute("INSERT OR REPLACE INTO keys VALUES(?,?,?)", email, key_id, public_pem)

    def forget_keys(self):
        """Every service account is deleted: exchanges answer invalid_grant from now on."""
        self._execute("DELETE FROM keys")

    def register_client(self, client_id, client_secret, refresh_token):
        self._execute("INSERT OR REPLACE INTO clients VALUES(?,?,?)", refresh_token, client_id, client_secret)

    def forget_clients(self):
        """Every refresh token is revoked."""
        self._execute("DELETE FROM clients")

    def register_file(self, path):
        """Registers the credentials of a file that write_service_account or write_authorized_user wrote."""
        info = json.loads(Path(path).read_text())
        if info["type"] == "service_account":
            key = serialization.load_pem_private_key(info["private_key"].encode(), None)
            self.register_key(info["client_email"], info["private_key_id"], _public_pem(key))
        else:
            self.register_client(info["client_id"], info["client_secret"], info["refresh_token"])

    # Tokens

    def issue(self, subject):
        """A new access token."""
        token = "ya29.c." + secrets.token_urlsafe(120)
        self._execute("INSERT INTO tokens VALUES(?,?,?)", token, subject, time.time() + self.token_lifetime)
        self.log.add("token", subject=subject, token_tail=token[-8:], lifetime=self.token_lifetime)
        return token

    def live(self, token):
        """Whether this token is known and has not expired."""
        with self._lock:
            row = self._db.execute("SELECT expires FROM tokens WHERE token=?", (token,)).fetchone()
        return row is not None and row[0] > time.time()

    def revoke_all(self):
        self._execute("DELETE FROM tokens")
        self.log.add("revoke")

    # Requests

    def token_endpoint(self, request, own_url):
        """POST /token."""
        try:
            form = dict(urllib.parse.parse_qsl(request.body.decode("ascii", "replace"), keep_blank_values=True))
            if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                raise _Refused("invalid_request", "Content-Type must be application/x-www-form-urlencoded")
            return self._token_response(self._grant(form, own_url))
        except _Refused as refused:
            self.log.add("token_refused", error=refused.error, description=refused.description)
            return Response.json({"error": refused.error, "error_description": refused.description}, refused.status)

    def metadata(self, request):
        """The GCE metadata server's paths; None for any other path."""
        answers = {
            "/": lambda: Response(200, "computeMetadata/\n", content_type="application/text"),
            "/computeMetadata/v1/project/project-id": lambda: Response(
                200, self.project, content_type="application/text"
            ),
            "/computeMetadata/v1/instance/service-accounts/default/token": lambda: self._token_response("metadata"),
        }
        answer = answers.get(request.path)
        if answer is None:
            return None
        if request.path != "/" and request.headers.get("metadata-flavor") != "Google":
            response = Response(
                403,
                "<!DOCTYPE html><title>Error 403 (Forbidden)!!1</title>Missing Metadata-Flavor:Google header.\n",
                content_type="text/html; charset=UTF-8",
            )
        else:
            response = answer()
        response.headers.update({"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"})
        return response

    def identity(self, request):
        """GET /identity: the other provider's token, for those who send its header."""
        if request.headers.get("x-identity-header") != "please":
            return Response(403, "no header", content_type="text/plain")
        token = "eyJ." + secrets.token_urlsafe(30)
        self.identities[token] = "workload"
        return Response.json({"id_token": token})

    def impersonate(self, request):
        """POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken"""
        with self._lock:
            row = self._db.execute(
                "SELECT subject FROM tokens WHERE token=?", (request.headers.get("authorization", "")[7:],)
            ).fetchone()
        if row is None or row[0] not in self.impersonators:
            return Response.json(
                {
                    "error": {
                        "code": 403,
                        "status": "PERMISSION_DENIED",
                        "message": "Permission 'iam.serviceAccounts.getAccessToken' denied on resource.",
                    }
                },
                403,
            )
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.token_lifetime))
        return Response.json(
            {"accessToken": self.issue(request.path.rpartition("/")[2].partition(":")[0]), "expireTime": expires}
        )

    def _token_response(self, subject):
        lifetime = max(1, int(self.token_lifetime) - 1)
        return Response.json(
            {
                "access_token": self.issue(subject),
                "expires_in": str(lifetime) if self.expires_as_string else lifetime,
                "token_type": "Bearer",
            },
            indent=None,
        )

    def _grant(self, form, own_url):
        """Who the form's grant is for; _Refused when it is no good."""
        kind = form.get("grant_type")
        if kind == JWT_GRANT:
            return self._check_assertion(form.get("assertion", ""), own_url)
        if kind == "refresh_token":
            return self._check_refresh(form)
        if kind == EXCHANGE_GRANT:
            return self._check_identity(form)
        raise _Refused("unsupported_grant_type", f"Invalid grant_type: {kind or ''}")

    def _check_identity(self, form):
        subject = self.identities.get(form.get("subject_token"))
        if (
            not form.get("audience", "").startswith("//iam.googleapis.com/")
            or form.get("subject_token_type") != "urn:ietf:params:oauth:token-type:jwt"
        ):
            raise _Refused("invalid_request", "Invalid value for audience or subject_token_type.")
        if subject is None:
            raise _Refused("invalid_grant", "The given subject token was not issued by a known provider.")
        return f"{subject}@cloud" if CLOUD in form.get("scope", "") else subject

    def _check_refresh(self, form):
        with self._lock:
            row = self._db.execute(
                "SELECT client_id, client_secret FROM clients WHERE refresh_token=?", (form.get("refresh_token", ""),)
            ).fetchone()
        if row is None:
            raise _Refused("invalid_grant", "Token has been expired or revoked.")
        if row != (form.get("client_id"), form.get("client_secret")):
            raise _Refused("invalid_client", "The OAuth client was not found.", 401)
        return form["client_id"]

    def _check_assertion(self, assertion, own_url):
        try:
            head, claims, signed, signature = _decode_jwt(assertion)
        except ValueError:
            raise _Refused("invalid_request", "Bad Request") from None
        if head.get("alg") != "RS256":
            raise _Refused("invalid_grant", "Invalid JWT: only RS256 is supported.")
        self._check_signature(head, claims, signed, signature)
        if claims.get("aud") not in (own_url, GOOGLE_TOKEN_URL):
            raise _Refused("invalid_grant", f"Invalid JWT: Failed audience check. The right audience is {own_url}")
        _check_times(claims)
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            raise _Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        try:
            self._execute("INSERT INTO assertions VALUES(?)", assertion)
        except sqlite3.IntegrityError:
            if self.assertion_once:
                raise _Refused("invalid_grant", "Invalid JWT: the assertion was used before.") from None
        return claims["iss"]

    def _check_signature(self, head, claims, signed, signature):
        with self._lock:
            rows = self._db.execute("SELECT kid, pem FROM keys WHERE email=?", (str(claims.get("iss")),)).fetchall()
        if not rows:
            raise _Refused("invalid_grant", "Invalid grant: account not found")
        for kid, pem in rows:
            if head.get("kid", kid) == kid and _verifies(pem, signed, signature):
                return
        raise _Refused("invalid_grant", "Invalid JWT Signature.")

    def _execute(self, sql, *args):
        with self._lock:
            self._db.execute(sql, args)


def write_service_account(
    path, token_uri, service=None, email=DEFAULT_EMAIL, project="my-project", pkcs1=False, bits=2048
):
    """Writes a service account's JSON with a new RSA key (PKCS#8, or PKCS#1) and returns it as a dict.

    service: the TokenService that shall accept it; without one, hand the result's public_key to the control API
    (`keys`)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    form = serialization.PrivateFormat.TraditionalOpenSSL if pkcs1 else serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    info = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem,
        "client_email": email,
        "client_id": "103000000000000000001",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    _write_secret(path, info)
    if service:
        service.register_file(path)
    return {**info, "public_key": _public_pem(key)}


def write_authorized_user(
    path, service=None, client_id="test-client.apps.googleusercontent.com", token_uri=None, quota_project=None
):
    """Writes an authorized_user file, as `gcloud auth application-default login` does, and returns it as a dict."""
    info = {
        "type": "authorized_user",
        "client_id": client_id,
        "client_secret": secrets.token_urlsafe(16),
        "refresh_token": "1//" + secrets.token_urlsafe(40),
        "universe_domain": "googleapis.com",
    }
    if token_uri:
        info["token_uri"] = token_uri
    if quota_project:
        info["quota_project_id"] = quota_project
    _write_secret(path, info)
    if service:
        service.register_file(path)
    return info


def _write_secret(path, info):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(info, file, indent=2)
        file.write("\n")


def _public_pem(key):
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def _decode_jwt(text):
    """(header, claims, signed bytes, signature); ValueError when it is not three parts of unpadded base64url."""
    parts = text.split(".")
    if len(parts) != 3 or "=" in text:
        raise ValueError("not a JWT")
    head, claims = (json.loads(_unbase64(part)) for part in parts[:2])
    if not isinstance(head, dict) or not isinstance(claims, dict):
        raise ValueError("not objects")
    return head, claims, text.rpartition(".")[0].encode(), _unbase64(parts[2])


def _unbase64(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verifies(pem, signed, signature):
    try:
        serialization.load_pem_public_key(pem.encode()).verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _check_times(claims):
    issued, expires, now = claims.get("iat"), claims.get("exp"), time.time()
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise _Refused("invalid_grant", _TIMEFRAME)
    if issued > now + CLOCK_SKEW or expires <= now - CLOCK_SKEW or expires - issued > 3600 or issued < now - 3600:
        raise _Refused("invalid_grant", _TIMEFRAME)
