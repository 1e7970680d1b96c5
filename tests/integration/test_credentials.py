"""Where an access token may come from besides a key: an identity of another provider, and a service account spoken
for."""

import json

import pytest
from services.pubsub import PubSub

ACCOUNT = "sensorqd@my-project.iam.gserviceaccount.com"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/home"


def external(pubsub, source, impersonate=False):
    info = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": pubsub.token_url,
        "credential_source": source,
    }
    if impersonate:
        info["service_account_impersonation_url"] = impersonation(pubsub)
    return info


def impersonation(pubsub):
    return f"{pubsub.url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"


@pytest.fixture
def check(own_queue, pubsub, sensorqd, shared_mongodb):
    """Runs `check` with these credentials in place of the key; returns what it says of the token."""
    own_queue.create()

    def run(info):
        with open(own_queue.section["credentials_file"], "w", encoding="utf-8") as file:
            json.dump(info, file)
        daemon = sensorqd(
            {
                "pubsub": own_queue.section,
                "subscribe": [
                    {
                        "subscription": "sensor-data-mongodb",
                        "mongodb": {"uri": shared_mongodb.uri, "database": "credentials", "collection": "c"},
                    }
                ],
            }
        )
        result = daemon.run("check")
        lines = [line for line in result.stdout.splitlines() if " token " in line]
        assert len(lines) == 1, result.stdout + result.stderr
        return result.returncode, lines[0]

    return run


def test_identity_in_a_file(check, pubsub, tmp_path):
    (tmp_path / "identity").write_text("eyJ.workload\n")
    info = external(pubsub, {"file": str(tmp_path / "identity")})
    returncode, line = check(info)
    assert (
        returncode == 69 and "invalid_grant" in line and "workload identity pool" in line and "eyJ.workload" not in line
    )
    pubsub.oauth.identities["eyJ.workload"] = "workload"
    returncode, line = check(info)
    assert returncode == 0 and line.startswith("ok")


def test_no_identity_in_the_file(check, pubsub, tmp_path):
    file = tmp_path / "identity"
    info = external(pubsub, {"file": str(file)})
    returncode, line = check(info)
    assert returncode == 69 and f"{file}, with the identity of this machine: No such file or directory" in line
    file.write_text("\n")
    returncode, line = check(info)
    assert returncode == 69 and f"{file}, with the identity of this machine: it holds no token" in line
    info["credential_source"]["format"] = {"type": "json", "subject_token_field_name": "id_token"}
    file.write_text('{"token": "eyJ.workload"}')
    returncode, line = check(info)
    assert returncode == 69 and f"{file}, with the identity of this machine: it holds no token" in line
    assert "eyJ.workload" not in line
    file.unlink()
    file.mkdir()
    returncode, line = check(info)
    assert returncode == 69 and f"{file}, with the identity of this machine: Is a directory" in line


def test_identity_at_a_url_and_a_service_account(check, pubsub):
    with PubSub() as provider:  # on this machine: plain http will do
        provider.oauth.identities = pubsub.oauth.identities
        source = {
            "url": f"{provider.url}/identity",
            "headers": {"X-Identity-Header": "please"},
            "format": {"type": "json", "subject_token_field_name": "id_token"},
        }
        info = external(pubsub, source, impersonate=True)
        returncode, line = check({**info, "credential_source": {**source, "headers": {"X-Identity-Header": "a\nb"}}})
        assert returncode == 69 and "correct the URLs and headers in /" in line
        returncode, line = check(info)
        assert returncode == 69 and "roles/iam.serviceAccountTokenCreator" in line
        pubsub.oauth.impersonators.add("workload@cloud")
        returncode, line = check(info)
        assert returncode == 0 and line.startswith("ok")


def test_a_login_that_speaks_for_a_service_account(check, pubsub, tmp_path):
    user = pubsub.write_authorized_user(tmp_path / "user.json")
    pubsub.oauth.impersonators.add(user["client_id"])
    returncode, line = check(
        {
            "type": "impersonated_service_account",
            "delegates": [],
            "service_account_impersonation_url": impersonation(pubsub),
            "source_credentials": user,
        }
    )
    assert returncode == 0 and line.startswith("ok")
