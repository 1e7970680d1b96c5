"""The ways to log in to MongoDB that the servers here can play: SCRAM-SHA-1, SCRAM-SHA-256, an X.509 certificate as the
user, and one beside a password."""

import contextlib
import shutil

import pytest
from services.mongodb import MongoDB
from services.wire_mongo import WireMongo

USER = ("sensorqd", "correct horse, battery")


@contextlib.contextmanager
def wire(mechanism, user, **tls):
    with WireMongo(**tls) as server:
        server.login = (mechanism, user)
        yield server


def store(make_feed, server, options, good, **section):
    """One message is stored, or the login is refused and said so."""
    address = f"mongodb://{{}}127.0.0.1:{server.port}/?{options}"
    feed = make_feed(
        server,
        uri=address.format("" if "X509" in options and section.get("secrets") is None else "sensorqd@"),
        **section,
    )
    feed.publish((b'{"a":1}', {"idempotency_key": "k"}))
    feed.daemon.start()
    if good:
        feed.wait_empty()
        assert list(feed.documents()) == ["k"] and not feed.daemon.log.events("SINK_DOWN")
    else:
        assert feed.daemon.log.wait("SINK_DOWN").fields["SENSORQD_REASON"] == "login"
    assert feed.daemon.stop() == 0


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_password(make_feed, mechanism, good):
    with wire(mechanism, USER) as server:
        store(
            make_feed,
            server,
            f"authSource=admin&authMechanism={mechanism}",
            good,
            secrets={"p": USER[1] if good else "wrong"},
            password_file="p",
        )


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_certificate_is_the_user(make_feed, certificates, good):
    with wire(
        "MONGODB-X509",
        ("CN=client" if good else "CN=somebody else", None),
        tls=certificates.server,
        tls_ca=certificates.ca,
    ) as server:
        store(
            make_feed,
            server,
            f"tls=true&tlsCAFile={certificates.ca}&tlsCertificateKeyFile={certificates.client.both}&authMechanism=MONGODB-X509",
            good,
        )


def test_certificate_beside_a_password(make_feed, certificates, tmp_path):
    """A real server that asks for both."""
    with MongoDB(
        storage=str(tmp_path / "mongodb"),
        user=USER,
        tls=certificates.server,
        tls_ca=certificates.ca,
        client=certificates.client,
    ) as server:
        store(
            make_feed,
            server,
            f"authSource=admin&tls=true&tlsCAFile={certificates.ca}&tlsCertificateKeyFile={certificates.client.both}",
            True,
            secrets={"p": USER[1]},
            password_file="p",
        )
        server.kill()


def test_certificates_are_replaced(make_feed, certificates, tmp_path):
    """Without a restart: that of the authority, and with it the server's and ours."""
    ours, authority = tmp_path / "ours.pem", tmp_path / "authority.pem"
    shutil.copy(certificates.expired.both, ours)
    shutil.copy(certificates.other_ca, authority)
    with WireMongo(tls=certificates.server, tls_ca=certificates.ca) as server:
        options = f"tls=true&tlsCAFile={authority}&tlsCertificateKeyFile={ours}"
        feed = make_feed(server, uri=f"mongodb://127.0.0.1:{server.port}/?{options}")
        feed.daemon.env["SENSORQD_TEST_BACKOFF_MAX_MSEC"] = "1000"
        feed.publish((b'{"a":1}', {"idempotency_key": "k"}))
        feed.daemon.start()
        assert "certificate" in feed.daemon.log.wait("SINK_DOWN").text
        shutil.copy(certificates.ca, authority)
        shutil.copy(certificates.client.both, ours)
        feed.wait_empty()
        assert list(feed.documents()) == ["k"]
        assert feed.daemon.stop() == 0
