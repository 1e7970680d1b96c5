"""The token endpoint and the metadata server."""

import json
import time
from base64 import urlsafe_b64encode

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from services.oauth import GOOGLE_TOKEN_URL, JWT_GRANT, write_service_account
from services.pubsub import PubSub
from services.service import wait_until

SCOPE = "https://www.googleapis.com/auth/pubsub"
TOPIC = "projects/p/topics/readings"


@pytest.fixture
def pubsub():
    with PubSub(auth=True) as service:
        yield service


def assertion(info, **changes):
    """A signed JWT for this service account; a change to None leaves a claim out, a function is called."""
    now = int(time.time())
    claims = {
        "iss": info["client_email"],
        "scope": SCOPE,
        "aud": info["token_uri"],
        "iat": now,
        "exp": now + 3600,
        **changes,
    }
    head = {"alg": "RS256", "typ": "JWT", "kid": info["private_key_id"]}
    parts = [head, {key: value() if callable(value) else value for key, value in claims.items() if value is not None}]
    signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    key = serialization.load_pem_private_key(info["private_key"].encode(), None)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()


def exchange(pubsub, text, grant=JWT_GRANT):
    return requests.post(pubsub.token_url, data={"grant_type": grant, "assertion": text}, timeout=10)


def get_topic(pubsub, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(f"{pubsub.url}/v1/{TOPIC}", headers=headers, timeout=10)


@pytest.mark.parametrize("pkcs1", [False, True])
def test_a_signed_assertion_buys_a_token(pubsub, tmp_path, pkcs1):
    info = pubsub.write_service_account(tmp_path / "sa.json", pkcs1=pkcs1)
    assert ("BEGIN RSA PRIVATE KEY" in info["private_key"]) == pkcs1
    reply = exchange(pubsub, assertion(info)).json()
    assert reply["expires_in"] == 3599 and reply["token_type"] == "Bearer"
    assert get_topic(pubsub, reply["access_token"]).status_code == 404
    pubsub.oauth.expires_as_string = True
    assert exchange(pubsub, assertion(info, aud=GOOGLE_TOKEN_URL)).json()["expires_in"] == "3599"


def test_without_a_live_token_the_api_says_401(pubsub, tmp_path):
    missing = get_topic(pubsub)
    assert missing.status_code == 401 and missing.json()["error"]["status"] == "UNAUTHENTICATED"
    info = pubsub.write_service_account(tmp_path / "sa.json")
    pubsub.oauth.token_lifetime = 0.3
    short = exchange(pubsub, assertion(info)).json()["access_token"]
    pubsub.oauth.token_lifetime = 3600
    revoked = exchange(pubsub, assertion(info, exp=int(time.time()) + 1800)).json()["access_token"]
    assert get_topic(pubsub, revoked).status_code == 404
    pubsub.oauth.revoke_all()
    for token in (revoked, "invented", short):
        reply = get_topic(pubsub, token)
        assert reply.status_code == 401 and reply.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_a_token_expires(pubsub, tmp_path):
    info = pubsub.write_service_account(tmp_path / "sa.json")
    for lifetime in (
        0.5,
        5,
        50,
    ):  # the longer ones where the machine is so slow that the token is dead before it is tried
        pubsub.oauth.token_lifetime = lifetime
        token = exchange(pubsub, assertion(info, exp=int(time.time()) + 3600 - int(lifetime))).json()["access_token"]
        if get_topic(pubsub, token).status_code == 404:
            break
    wait_until(lambda: get_topic(pubsub, token).status_code == 401, 60)
    assert lifetime < 50


def in_seconds(seconds):
    """That time, counted from when it is asked for: the tests may run long after they were collected."""
    return lambda: int(time.time()) + seconds


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"aud": "https://example.org/token"}, "invalid_grant"),
        ({"exp": in_seconds(90000)}, "invalid_grant"),
        ({"iat": in_seconds(-7300), "exp": in_seconds(-3700)}, "invalid_grant"),
        ({"iat": in_seconds(600)}, "invalid_grant"),
        ({"iss": "nobody@example.org"}, "invalid_grant"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"iat": None}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
    ],
)
def test_a_wrong_claim_is_refused(pubsub, tmp_path, changes, error):
    info = pubsub.write_service_account(tmp_path / "sa.json")
    reply = exchange(pubsub, assertion(info, **changes))
    assert reply.status_code == 400 and reply.json()["error"] == error and reply.json()["error_description"]


def test_signature_reuse_and_nonsense_are_refused(pubsub, tmp_path):
    info = pubsub.write_service_account(tmp_path / "sa.json")
    stranger = write_service_account(tmp_path / "other.json", pubsub.token_url)
    assert (
        exchange(pubsub, assertion({**stranger, "private_key_id": info["private_key_id"]})).json()["error"]
        == "invalid_grant"
    )
    once = assertion(info)
    assert exchange(pubsub, once).status_code == 200
    assert exchange(pubsub, once).json()["error"] == "invalid_grant"
    assert exchange(pubsub, "a.b").json()["error"] == "invalid_request"
    assert exchange(pubsub, once, "password").json()["error"] == "unsupported_grant_type"
    assert requests.get(pubsub.token_url, timeout=10).status_code == 405
    assert requests.post(pubsub.token_url, json={"grant_type": JWT_GRANT}, timeout=10).status_code == 400
    requests.post(f"{pubsub.url}/_control/revoke", json={"keys": True}, timeout=10)
    assert (
        exchange(pubsub, assertion(info, exp=int(time.time()) + 60)).json()["error_description"]
        == "Invalid grant: account not found"
    )


def test_refresh_token_grant(pubsub, tmp_path):
    info = pubsub.write_authorized_user(tmp_path / "user.json", quota_project="p")
    form = {
        "grant_type": "refresh_token",
        **{key: info[key] for key in ("client_id", "client_secret", "refresh_token")},
    }
    token = requests.post(pubsub.token_url, data=form, timeout=10).json()["access_token"]
    assert get_topic(pubsub, token).status_code == 404
    wrong = requests.post(pubsub.token_url, data={**form, "client_secret": "x"}, timeout=10)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    requests.post(f"{pubsub.url}/_control/revoke", json={"clients": True}, timeout=10)
    assert requests.post(pubsub.token_url, data=form, timeout=10).json()["error"] == "invalid_grant"


def test_metadata_server(pubsub):
    flavor = {"Metadata-Flavor": "Google"}
    assert requests.get(pubsub.url + "/", timeout=10).headers["Metadata-Flavor"] == "Google"
    base = f"{pubsub.url}/computeMetadata/v1"
    assert requests.get(f"{base}/project/project-id", headers=flavor, timeout=10).text == "my-project"
    path = f"{base}/instance/service-accounts/default/token"
    assert requests.get(path, timeout=10).status_code == 403
    token = requests.get(path, headers=flavor, params={"scopes": SCOPE}, timeout=10).json()["access_token"]
    assert get_topic(pubsub, token).status_code == 404


def test_google_auth_accepts_the_files(pubsub, tmp_path):
    """The official library signs with our key file, and our endpoint takes what it signs."""
    service_account = pytest.importorskip("google.oauth2.service_account")
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials

    pubsub.write_service_account(tmp_path / "sa.json")
    pubsub.write_authorized_user(tmp_path / "user.json")
    for made in (
        service_account.Credentials.from_service_account_file(str(tmp_path / "sa.json"), scopes=[SCOPE]),
        Credentials.from_authorized_user_info({**json.loads((tmp_path / "user.json").read_text())}),
    ):
        if isinstance(made, Credentials):
            made._token_uri = pubsub.token_url
        made.refresh(Request())
        assert get_topic(pubsub, made.token).status_code == 404
