"""A certificate authority that nobody knows, and what it vouches for."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """One authority; its certificate is in `bundle`."""

    def __init__(self, folder: Path, *, name: str = "company") -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(self._key, subject=name, issuer=name)
        self.bundle = folder / f"{name}-ca.pem"
        made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.bundle.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def for_localhost(self) -> Path:
        """A server's certificate, with its key in the same file."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(key, subject="localhost", issuer=self._name)
        made = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self._folder / f"{self._name}-localhost.pem"
        path.write_bytes(_pem(made.sign(self._key, hashes.SHA256())) + private)
        return path


def _certificate(key: ec.EllipticCurvePrivateKey, *, subject: str, issuer: str) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
