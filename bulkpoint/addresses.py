"""Rules for addresses in the settings, and how an address is shown without the secret someone put into it."""

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9.:/_~%\[\]-]+")  # what every URL parser, ours and curl's, reads the same way


def money_url(url: str) -> str:
    """The address without a slash at its end; ValueError names the rule it breaks."""
    parts = _http_parts(url)
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or ""):
        raise ValueError("must be https, because a token travels on it; http is for this machine only")
    return url.rstrip("/")


def slack_url(url: str) -> str:
    """The address with one slash at its end; ValueError names the rule it breaks."""
    parts = _http_parts(url)
    if parts.hostname == "hooks.slack.com" or "/services/" in parts.path:
        raise ValueError("must be the address of Slack's Web API, not a webhook: messages go out with a token")
    return money_url(url) + "/"


def database_url(url: str) -> str:
    """The address as it is; ValueError names the rule it breaks."""
    parts = _split(url)
    if parts.scheme != "postgresql" or not parts.netloc:
        raise ValueError("must be an address such as postgresql://bulkpoint@db.example.com:5432/bulkpoint")
    options = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if ":" in parts.netloc.rpartition("@")[0] or options & {"password", "sslpassword"}:
        raise ValueError("must not carry a password: put it into a password file and name that in PGPASSFILE")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not have spaces or control characters")
    return url


def shown(url: str) -> str:
    """Scheme, host and path; whoever put a password or a key into the rest does not find it in a log."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(hidden)"
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    path = "/(hidden)" if "/services/" in parts.path else parts.path
    rest = "?(hidden)" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{':(hidden)' if colon else ''}{at}{host}{path}{rest}"


def _http_parts(url: str) -> SplitResult:
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as https://money.example.com")
    if "@" in parts.netloc:
        raise ValueError("must not carry a user or password: a token goes into a file, named by a setting of its own")
    if "?" in url or "#" in url:
        raise ValueError("must not have a query (?) or a fragment (#)")
    if not _URL_CHARACTERS.fullmatch(url):
        raise ValueError("must be made of letters, digits and . : / _ ~ % - [ ] only")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must have a port from 0 to 65535") from None
    return parts


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError("must be an address that can be read") from None
