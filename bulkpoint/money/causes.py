"""What the errors of the system and of OpenSSL mean, for both clients of the money API."""

import errno

from bulkpoint.rules.causes import Cause

_OS_ERRORS = {
    errno.ECONNREFUSED: Cause.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Cause.CONNECT_TIMED_OUT,
    errno.ENETUNREACH: Cause.NO_ROUTE,
    errno.EHOSTUNREACH: Cause.NO_ROUTE,
    errno.ENETDOWN: Cause.NO_ROUTE,
    errno.EHOSTDOWN: Cause.NO_ROUTE,
    errno.EADDRNOTAVAIL: Cause.NO_LOCAL_PORT,
    errno.EMFILE: Cause.TOO_MANY_OPEN_FILES,
    errno.ENFILE: Cause.TOO_MANY_OPEN_FILES,
    errno.ECONNRESET: Cause.TLS_FAILED,  # nothing was sent yet: only a handshake can be reset
    errno.EPIPE: Cause.TLS_FAILED,
}

# X509_V_ERR_... of OpenSSL; every other one means that no CA that we trust has signed it.
_VERIFICATIONS = {
    0: Cause.CERTIFICATE_OF_ANOTHER_NAME,  # libcurl checks the name itself, after OpenSSL found the rest in order
    1: Cause.CERTIFICATE_OF_ANOTHER_NAME,  # "unspecified": the same, in other versions of libcurl
    9: Cause.CERTIFICATE_NOT_YET_VALID,
    10: Cause.CERTIFICATE_EXPIRED,
    62: Cause.CERTIFICATE_OF_ANOTHER_NAME,
    64: Cause.CERTIFICATE_OF_ANOTHER_NAME,
}


def cause_of_os_error(number: int | None) -> Cause:
    """Why there is no connection. number: of errno; 0 or None where the system says nothing."""
    return _OS_ERRORS.get(number or 0, Cause.NOT_CONNECTED)


def cause_of_verification(result: int) -> Cause:
    """Why a certificate is refused. result: that of OpenSSL's check."""
    return _VERIFICATIONS.get(result, Cause.CERTIFICATE_NOT_TRUSTED)


def cause_of_tls_error(text: str) -> Cause:
    """Why a handshake failed that is not about the certificate. text: OpenSSL's own."""
    low = text.lower().replace("_", " ")
    return Cause.NOT_TLS if "wrong version number" in low or "record layer failure" in low else Cause.TLS_FAILED
