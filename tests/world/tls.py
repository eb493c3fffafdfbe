"""Certificates of a test's own authority, in files, as servers and clients of PostgreSQL want them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

Algorithm = Literal["RSA", "EC", "ED25519"]


@dataclass(frozen=True)
class Certificates:
    """A folder with root.pem, server.pem and client.pem, whose certificates are of that root, and their keys.

    The server is 127.0.0.1, the client `bulkpoint`. Every account may read the folder, only `owner` the server's key.
    """

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def server(self) -> tuple[Path, Path]:
        """Certificate and key."""
        return self.folder / "server.pem", self.folder / "server.key"

    def query(self, *, mode: str = "verify-full", **more: object) -> str:
        """The part of an address that asks for TLS in that mode, with the client's certificate."""
        client = {"sslcert": self.folder / "client.pem", "sslkey": self.folder / "client.key"}
        return urlencode({"sslmode": mode, "sslrootcert": self.root} | client | more)


def make_certificates(folder: Path, *, owner: tuple[int, int] | None = None) -> Certificates:
    """Certificates in a new folder. owner: the user and group that a server runs as, if they are not ours."""
    folder.mkdir()
    folder.chmod(0o755)
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(folder / "root.pem")
    for name, certificate in {
        "server": authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA),
        "client": authority.issue_cert("bulkpoint", common_name="bulkpoint", key_type=trustme.KeyType.ECDSA),
    }.items():
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        _write(folder / f"{name}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if owner is not None:
        os.chown(folder / "server.key", *owner)
    return Certificates(folder)


def make_key(file: Path, algorithm: Algorithm, *, traditional: bool = False) -> Path:
    """A private key; traditional: as older programs of OpenSSL write it, not as PKCS-8."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    match algorithm:
        case "RSA":
            key = rsa.generate_private_key(65_537, 2_048)
        case "EC":
            key = ec.generate_private_key(ec.SECP256R1())
        case "ED25519":
            key = ed25519.Ed25519PrivateKey.generate()
    how = PrivateFormat.TraditionalOpenSSL if traditional else PrivateFormat.PKCS8
    _write(file, key.private_bytes(Encoding.PEM, how, NoEncryption()))
    return file


def _write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)
