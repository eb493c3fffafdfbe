"""The database's address for Spark's reader: JDBC is given what psycopg is given, or the run is refused beforehand.

Each parameter of libpq (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS) is passed on,
is not needed by a reader, or is refused by its name, because reading without it would not be what was asked for.
"""

import os
import re
from base64 import b64decode
from binascii import Error as NotBase64
from pathlib import Path
from urllib.parse import quote, urlencode

from bulkpoint.errors import UsageError
from bulkpoint.store.connect import CONNECT_TIMEOUT_S, Connection, Link
from bulkpoint.store.database_address import hosts_of, resolved

# A read is silent for no longer; 120 s is the patience with a database that fails over.
_SOCKET_TIMEOUT_S = 120
_ANSWER_S_MAX = 10.0

_ALWAYS = {
    "ApplicationName": "bulkpoint reader",
    "connectTimeout": str(CONNECT_TIMEOUT_S),
    "socketTimeout": str(_SOCKET_TIMEOUT_S),
    "tcpKeepAlive": "true",
    # Each range is read once, so a named statement saves nothing; behind a transaction pooler it would meet another
    # client's of the same name.
    "prepareThreshold": "0",
    "gssEncMode": "disable",
}
_PASSED_ON = {
    "user": "user",
    "options": "options",
    "sslmode": "sslmode",
    "sslnegotiation": "sslNegotiation",
    "channel_binding": "channelBinding",
    "require_auth": "requireAuth",
}
# Of the connection's own care for itself, of libpq alone, or set here.
_NOT_NEEDED = {
    *("host", "hostaddr", "port", "dbname", "passfile", "service", "servicefile", "target_session_attrs"),
    *("sslrootcert", "sslcert", "sslkey", "sslcertmode", "ssl_min_protocol_version", "gssencmode"),
    *("connect_timeout", "client_encoding", "application_name", "fallback_application_name", "load_balance_hosts"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
    *("sslcompression", "sslsni", "sslkeylogfile", "requirepeer", "gssdelegation"),
    *("min_protocol_version", "max_protocol_version"),
}
# Values of parameters that JDBC cannot follow, and that ask for nothing.
_ASKS_NOTHING = {"krbsrvname": "postgres", "ssl_min_protocol_version": "TLSv1.2", "sslcertmode": "allow"}
# A run writes, so no standby will do. How JDBC makes sure of that.
_SERVER_TYPES = {"any": "any", "read-write": "primary", "primary": "primary"}

# Which algorithm a key in PKCS-8 is for, by the object identifier in it: JDBC does not look.
_KEY_ALGORITHMS = {
    bytes.fromhex("2a864886f70d010101"): "RSA",
    bytes.fromhex("2a8648ce3d0201"): "EC",
    bytes.fromhex("2b6570"): "EdDSA",
}
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----\s*(.*?)-----END ", re.DOTALL)


def reader_url(conninfo: str) -> str:
    """jdbc_url, at the server that answers now where the address names several.

    JDBC looks a password up by all hosts of an address at once, and finds none; and the reader must follow a standby
    that takes over as psycopg does. Raises what jdbc_url raises, and UnreachableError when no server answers in time.
    """
    if len(hosts_of(resolved(conninfo))) == 1:
        return jdbc_url(conninfo)
    link = Link(conninfo, name="bulkpoint reader", answer_s_max=_ANSWER_S_MAX)
    try:
        return jdbc_url(conninfo, at=link.ask(_host_and_port))
    finally:
        link.close()


def jdbc_url(conninfo: str, *, at: tuple[str, str] | None = None) -> str:
    """The same database for Spark's reader, without a password: that comes from the password file there too.

    at: the one of its hosts to use, and that one's port. Raises UsageError, with the parameter's name, where JDBC
    cannot do what the address asks for.
    """
    parts = resolved(conninfo)
    _refuse_what_jdbc_cannot(parts)
    addresses = [at] if at else _reachable_by_tcp(parts)
    hosts = ",".join(f"{f'[{host}]' if ':' in host else quote(host)}:{port}" for host, port in addresses)
    options = {name: parts[ours] for ours, name in _PASSED_ON.items() if parts.get(ours)}
    options |= {"targetServerType": _server_type(parts)}
    if parts.get("sslmode") != "disable":
        options |= _root_certificates(parts) | _client_certificate(parts)
    return f"jdbc:postgresql://{hosts}/{quote(parts['dbname'], safe='')}?{urlencode(options | _ALWAYS)}"


def check_jdbc_address(conninfo: str) -> None:
    """Raise UsageError where a run could not read this database: before Spark starts, instead of a page of Java."""
    jdbc_url(conninfo)


def _host_and_port(connection: Connection) -> tuple[str, str]:
    return connection.info.host, str(connection.info.port)


def _refuse_what_jdbc_cannot(parts: dict[str, str]) -> None:
    if "password" in parts:
        raise UsageError("JDBC_PASSWORD_NOT_IN_FILE", "name_password_file")
    asked = parts.keys() - _PASSED_ON.keys() - _NOT_NEEDED
    for name in sorted(asked):
        if parts[name] not in {"", _ASKS_NOTHING.get(name)}:
            raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter=name)
    if parts.get("gssencmode") == "require":
        raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter="gssencmode=require")
    if parts.get("ssl_min_protocol_version", "") == "TLSv1.3":
        raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter="ssl_min_protocol_version=TLSv1.3")
    if parts.get("sslcertmode") == "require":
        raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter="sslcertmode=require")


def _reachable_by_tcp(parts: dict[str, str]) -> list[tuple[str, str]]:
    if not parts.get("host") and not parts.get("hostaddr"):
        raise UsageError("JDBC_NEEDS_HOST", "name_host_of_database")
    if parts.get("host") and parts.get("hostaddr") and parts["host"] != parts["hostaddr"]:
        if parts.get("sslmode") == "verify-full":  # JDBC would compare the certificate with the number
            raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter="hostaddr")
        parts = parts | {"host": parts["hostaddr"]}
    addresses = hosts_of(parts)
    for host, _ in addresses:
        if host.startswith(("/", "@")):
            raise UsageError("JDBC_USES_NO_SOCKET_FOLDER", "name_host_of_database", folder=host)
    return addresses


def _server_type(parts: dict[str, str]) -> str:
    wanted = parts.get("target_session_attrs", "any")
    if wanted not in _SERVER_TYPES:
        raise UsageError("RUN_NEEDS_PRIMARY", "ask_for_read_write", wanted=wanted)
    return _SERVER_TYPES[wanted]


def _root_certificates(parts: dict[str, str]) -> dict[str, str]:
    """By what the server's certificate is checked; libpq checks it in mode `require` too, where it has a root."""
    named = parts.get("sslrootcert")
    if named == "system":
        # The file that OpenSSL is told to use, else Java's own certificates.
        file = os.environ.get("SSL_CERT_FILE")
        return {"sslrootcert": file} if file else {"sslfactory": "org.postgresql.ssl.DefaultJavaSSLFactory"}
    root = Path(named).expanduser().absolute() if named else Path.home() / ".postgresql" / "root.crt"
    verifies = parts["sslmode"].startswith("verify")
    if not verifies and (parts["sslmode"] != "require" or not root.is_file()):
        return {}
    _read(root)
    return {"sslrootcert": str(root)} | ({} if verifies else {"sslmode": "verify-ca"})


def _client_certificate(parts: dict[str, str]) -> dict[str, str]:
    """Our own certificate and its key; empty paths keep JDBC from files that libpq does not use."""
    folder = Path.home() / ".postgresql"
    named = parts.get("sslcert")
    certificate = Path(named).expanduser().absolute() if named else folder / "postgresql.crt"
    if parts.get("sslcertmode") == "disable" or not (named or certificate.is_file()):
        return {"sslcert": "", "sslkey": ""}
    if parts.get("sslrootcert") == "system" and "SSL_CERT_FILE" not in os.environ:
        raise UsageError("JDBC_HAS_NO_PARAMETER", "leave_out_parameter", parameter="sslrootcert=system, sslcert")
    key = Path(parts["sslkey"]).expanduser().absolute() if parts.get("sslkey") else folder / "postgresql.key"
    _read(certificate)
    return {"sslcert": str(certificate), "sslkey": str(key)} | _algorithm(key)


def _algorithm(key: Path) -> dict[str, str]:
    content = _read(key)
    pem = _PEM.search(content)
    if pem is None:
        return {}  # DER, which says it by itself
    try:
        inside = b64decode(pem[2], validate=False) if pem[1] == b"PRIVATE KEY" else b""
    except NotBase64:
        inside = b""
    for identifier, algorithm in _KEY_ALGORITHMS.items():
        if identifier in inside[:64]:
            return {"pemKeyAlgorithm": algorithm}
    raise UsageError("JDBC_CANNOT_READ_KEY", "convert_key", file=str(key), found=pem[1].decode())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError("FILE_UNREADABLE", "make_readable", file=str(file), why=error.strerror) from error
