"""A certificate authority for one test run: good, expired and wrong-host server certificates for services on loopback.

make(directory) writes ca.pem, server.pem/.key (127.0.0.1 and localhost), expired.pem/.key, wrong-host.pem/.key
(example.org), other-ca.pem (a CA that signed none of them) and client.pem/.key, and each pair joined as NAME-both.pem
(MongoDB wants one file).
"""

import argparse
import datetime
import ipaddress
import sys
from pathlib import Path
from types import SimpleNamespace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


def make(directory):
    """Writes the files; returns their paths: ca, other_ca, server, expired, wrong_host, client (each pair with .cert,
    .key, .both)."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    ca_key, ca = _authority("sensorqd test CA", now)
    _, other = _authority("another test CA", now)
    (directory / "ca.pem").write_bytes(_pem(ca))
    (directory / "other-ca.pem").write_bytes(_pem(other))
    local = [
        x509.DNSName("localhost"),
        x509.DNSName("pubsub.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    pairs = {
        "server": (local, now - _DAY, now + 30 * _DAY),
        "expired": (local, now - 30 * _DAY, now - _DAY),
        "wrong-host": ([x509.DNSName("example.org")], now - _DAY, now + 30 * _DAY),
        "client": (local, now - _DAY, now + 30 * _DAY),
    }
    paths = {
        name.replace("-", "_"): _write_pair(directory, name, *_leaf(name, ca, ca_key, *spec))
        for name, spec in pairs.items()
    }
    return SimpleNamespace(ca=str(directory / "ca.pem"), other_ca=str(directory / "other-ca.pem"), **paths)


def _authority(name, now):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key.public_key(), now - 60 * _DAY, now + 365 * _DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return key, builder.sign(key, hashes.SHA256())


def _leaf(name, ca, ca_key, alternatives, begin, end):
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    builder = _builder(name, issuer, key.public_key(), begin, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
    )
    return key, builder.sign(ca_key, hashes.SHA256())


def _builder(subject, issuer, public_key, begin, end):
    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return x509.CertificateBuilder(
        issuer_name=named(issuer),
        subject_name=named(subject),
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    )


def _usage(**on):
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: on.get(name, False) for name in names})


def _write_pair(directory, name, key, cert):
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    paths = SimpleNamespace(
        cert=str(directory / f"{name}.pem"),
        key=str(directory / f"{name}.key"),
        both=str(directory / f"{name}-both.pem"),
    )
    for path, data in ((paths.cert, _pem(cert)), (paths.key, secret), (paths.both, secret + _pem(cert))):
        Path(path).touch(mode=0o600)
        Path(path).write_bytes(data)
    return paths


def _pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def main(argv=None):
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("directory")
    make(options.parse_args(argv).directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
