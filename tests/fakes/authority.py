"""A certificate authority of a company, and the certificates that it signs."""

from __future__ import annotations

import ipaddress
import socketserver
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """A private CA without key identifiers, as `openssl req` made them for years."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private CA")])
        builder = _builder(self._name, self._name, self._key, DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        self.path = folder / "ca.crt"
        self.path.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def server_context(self, name: str, *, left: timedelta = DAY) -> ssl.SSLContext:
        """Return the TLS context of a server, with a certificate for this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key, left).add_extension(_names(name), False)
        return _context(self._folder, builder.sign(self._key, hashes.SHA256()), key)


def self_signed_context(folder: Path, name: str) -> ssl.SSLContext:
    """Return the TLS context of a server whose certificate no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, DAY).add_extension(_names(name), False)
    return _context(folder, builder.sign(key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, left: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + left)
    )


def _names(name: str) -> x509.SubjectAlternativeName:
    try:
        return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    except ValueError:
        return x509.SubjectAlternativeName([x509.DNSName(name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _context(
    folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> ssl.SSLContext:
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + _pem(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def serve_tls(server: socketserver.TCPServer, folder: Path) -> Path:
    """Let a server of 127.0.0.1 speak TLS; return the file of its authority's certificate."""
    authority = Authority(folder)
    # The handshake happens in the connection's own thread: a client may never begin it.
    server.socket = authority.server_context("127.0.0.1").wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    return authority.path
