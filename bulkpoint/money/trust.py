"""Whom the money API's certificate must come from: the CA file of the settings, or the public CAs for both clients."""

import ssl
from functools import cached_property
from pathlib import Path

import certifi

from bulkpoint.errors import UsageError
from bulkpoint.files import NotAFileError, read_bounded
from bulkpoint.rules.refusals import Refusal

# The public CAs together are 300 kB.
CA_FILE_BYTES_MAX = 10_000_000


class Trust:
    """The CA certificates as they were read last. For all connections of one client, and for any thread."""

    def __init__(self, ca_file: Path | None) -> None:
        """ca_file: BULKPOINT_MONEY_CA_FILE; None: the public CAs. Raises UsageError where it cannot be used."""
        self._ca_file = ca_file
        if ca_file is not None:
            self._read(ca_file)

    pem: bytes | None = None
    """The file's content, for libcurl, which reads a file anew only once a day; None: the public CAs."""

    @cached_property
    def context(self) -> ssl.SSLContext:
        """For Python's own TLS."""
        return ssl.create_default_context(cafile=certifi.where())

    def renew(self) -> UsageError | None:
        """Read the file again; what is wrong with it, where it cannot be used: then what was read before stays."""
        try:
            if self._ca_file is not None:
                self._read(self._ca_file)
        except UsageError as error:
            return error
        return None

    def _read(self, ca_file: Path) -> None:
        self.context, self.pem = _checked(ca_file)


def ca_bundle(ca_file: Path | None) -> str:
    """Path of the CA certificates: the file in the settings, or the public ones.

    Raises UsageError where the file in the settings cannot be used.
    """
    if ca_file is None:
        return certifi.where()
    _checked(ca_file)
    return str(ca_file)


def _checked(ca_file: Path) -> tuple[ssl.SSLContext, bytes]:
    why: str | Refusal
    try:
        pem = read_bounded(ca_file, CA_FILE_BYTES_MAX)
        if b"CERTIFICATE-----" in pem:
            return ssl.create_default_context(cafile=str(ca_file)), pem
        why = Refusal("HAS_NO_CERTIFICATE")
    except NotAFileError as error:
        why = Refusal("IT_IS", {"kind": Refusal(error.kind)})
    except OSError as error:  # OpenSSL's are OSErrors too
        why = error.strerror or str(error)
    raise UsageError("MONEY_CA_FILE_UNREADABLE", file=str(ca_file), why=why)
