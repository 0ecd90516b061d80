"""The server's certificate and key: read, or made and signed by themselves where there are none."""

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from monitor.sinks.opcua.settings import OpcuaError

VALID_DAYS: Final = 3650
"""A controller that trusts the certificate stops when it expires: long, as is usual between machines."""

Pair = tuple[x509.Certificate, rsa.RSAPrivateKey]


def load(certificate: Path, key: Path, uri: str, host: str) -> Pair:
    """The pair in these two files; made for the application *uri* at *host* if both are missing.

    Raises OpcuaError in one line.
    """
    if not certificate.exists() and not key.exists():
        try:
            _make(certificate, key, uri, host)
        except OSError as error:
            raise _refused(error) from None
    return read(certificate, key)


def read(certificate: Path, key: Path) -> Pair:
    """The pair in these two files. Raises OpcuaError in one line."""
    try:
        return _read(certificate, key)
    except OSError as error:
        raise _refused(error) from None


def _refused(error: OSError) -> OpcuaError:
    return OpcuaError(f"opcua.certificate, opcua.key: {error.filename}: {error.strerror}")


def _read(certificate_path: Path, key_path: Path) -> Pair:
    data = certificate_path.read_bytes()
    try:
        parse = x509.load_der_x509_certificate if certificate_path.suffix == ".der" else x509.load_pem_x509_certificate
        certificate = parse(data)
    except ValueError:
        raise OpcuaError(f"opcua.certificate: {certificate_path} holds no certificate") from None
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except (ValueError, TypeError):
        raise OpcuaError(f"opcua.key: {key_path} holds no private key that opens without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise OpcuaError(f"opcua.key: {key_path} is not the RSA key of {certificate_path}")
    if certificate.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise OpcuaError(f"opcua.certificate: {certificate_path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    return certificate, key


def _make(certificate_path: Path, key_path: Path, uri: str, host: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _self_signed(key, uri, host)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
    form = serialization.Encoding.DER if certificate_path.suffix == ".der" else pem
    certificate_path.write_bytes(certificate.public_bytes(form))


def _self_signed(key: rsa.RSAPrivateKey, uri: str, host: str) -> x509.Certificate:
    """An application instance certificate as Part 6, 6.2.2 asks for: its URI and its addresses are in it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "framewatch")])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # the peer's clock may be late
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *_addresses(host)]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(usage, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _addresses(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName(socket.gethostname())]
    try:
        return [*names, x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        return names if host == socket.gethostname() else [*names, x509.DNSName(host)]
