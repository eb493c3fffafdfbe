"""The address of a database as libpq reads it: the URL, its service, the PG... environment and libpq's own defaults."""

from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bulkpoint.errors import UsageError

# libpq resolves an address when a connection is begun, and looks at this parameter before it touches the network: with
# an impossible value it stops there. Two, so that the value of each is read while the other stops it.
_STOPPERS = ("ssl_max_protocol_version", "gssencmode")
_NOT_ONE = "none-of-them"
# What another process must not be given: secrets, and what is resolved already.
_STAYS_HERE = {"password", "sslpassword", "service", "passfile", "oauth_client_secret"}
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "passfile")
DEFAULT_PORT = "5432"


def resolved(conninfo: str) -> dict[str, str]:
    """Every parameter that a connection would use, and its value, without touching the network.

    Raises UsageError for an address that libpq does not understand, such as one with an unknown service.
    """
    first, second = (_resolved_until(conninfo, stopper) for stopper in _STOPPERS)
    first.pop(_STOPPERS[0], None)
    if _STOPPERS[0] in second:
        first[_STOPPERS[0]] = second[_STOPPERS[0]]
    return first


def explicit(conninfo: str) -> str:
    """The same database for a process that has neither our environment nor our service files, nor our present folder.

    Without a password: it is in the file that PGPASSFILE names there, or in the one that the address names.
    """
    usual = {option.keyword.decode(): option.compiled for option in pq.Conninfo.get_defaults()}
    parts = {
        name: value
        for name, value in resolved(conninfo).items()
        if name not in _STAYS_HERE and value.encode() != usual.get(name)
    }
    if (passfile := conninfo_to_dict(conninfo).get("passfile")) is not None:
        parts["passfile"] = str(passfile)
    return make_conninfo("", **{name: _absolute(value) if name in _FILES else value for name, value in parts.items()})


def as_login(conninfo: str, login: str, password: str) -> str:
    """The same database for a person's own login; the address has the password in it, so it is never shown or kept."""
    return make_conninfo(conninfo, user=login, password=password)


def passfile_of(conninfo: str) -> Path:
    """The file in which libpq looks for the password; it need not be there."""
    return Path(resolved(conninfo)["passfile"]).expanduser().absolute()


def where(conninfo: str) -> str:
    """Hosts, ports and database for people; never a password."""
    try:
        parts = resolved(conninfo)
    except UsageError:
        return "?"
    return f"{','.join(f'{_bracketed(host)}:{port}' for host, port in hosts_of(parts))}/{parts.get('dbname', '')}"


def hosts_of(parts: dict[str, str]) -> list[tuple[str, str]]:
    """Each host (or address, or folder of a Unix socket) with its port, in the order in which they are tried."""
    hosts = (parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = parts.get("port", DEFAULT_PORT).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [(host or "localhost", port or DEFAULT_PORT) for host, port in zip(hosts, ports, strict=False)]


def _resolved_until(conninfo: str, stopper: str) -> dict[str, str]:
    try:
        asked = make_conninfo(conninfo, **{stopper: _NOT_ONE})
    except psycopg.ProgrammingError as error:
        raise UsageError("DATABASE_ADDRESS_NOT_UNDERSTOOD", why=str(error).strip()) from error
    connection = pq.PGconn.connect_start(asked.encode())
    try:
        why = connection.error_message.decode(errors="replace").strip()
        if _NOT_ONE not in why:
            raise UsageError("DATABASE_ADDRESS_NOT_UNDERSTOOD", why=why)
        return {option.keyword.decode(): option.val.decode() for option in connection.info if option.val is not None}
    finally:
        connection.finish()


def _absolute(file: str) -> str:
    return file if file == "system" else str(Path(file).expanduser().absolute())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
