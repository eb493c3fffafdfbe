"""Rules for addresses in the settings, and how an address is shown without a secret that was put into it."""

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_URL_CHARACTERS = re.compile(r"[A-Za-z0-9.:/_~%\[\]-]+")  # what every URL parser, ours and curl's, reads the same way


class InvalidSettingError(ValueError):
    """The rule that a setting's value breaks: a code of the language files, and facts beyond setting and value.

    A ValueError, because that is what pydantic expects of a validator.
    """

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


def money_url(url: str) -> str:
    """The address without a slash at its end; InvalidSettingError names the rule it breaks."""
    parts = _http_parts(url)
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or ""):
        raise InvalidSettingError("SETTING_NOT_HTTPS")
    return url.rstrip("/")


def web_url(url: str) -> str:
    """The address of the page without a slash at its end; InvalidSettingError names the rule it breaks."""
    _http_parts(url)
    return url.rstrip("/")


def slack_url(url: str) -> str:
    """The address with one slash at its end; InvalidSettingError names the rule it breaks."""
    parts = _http_parts(url)
    if parts.hostname == "hooks.slack.com" or "/services/" in parts.path:
        raise InvalidSettingError("SETTING_IS_A_WEBHOOK")
    return money_url(url) + "/"


def database_url(url: str) -> str:
    """The address as it is; InvalidSettingError names the rule it breaks."""
    parts = _split(url)
    options = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    named = parts.netloc or options & {"host", "hostaddr", "service"}
    if parts.scheme != "postgresql" or not named:
        raise InvalidSettingError("SETTING_NOT_A_DATABASE_ADDRESS")
    if ":" in parts.netloc.rpartition("@")[0] or options & {"password", "sslpassword"}:
        raise InvalidSettingError("SETTING_CARRIES_A_PASSWORD")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidSettingError("SETTING_HAS_SPACES")
    return url


def is_this_machine(url: str) -> bool:
    """Whether an address of the settings is on loopback."""
    return _LOOPBACK.fullmatch(urlsplit(url).hostname or "") is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    found = ip_of(host.strip("[]"))
    return found is not None and found.is_loopback


def ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is; None where it is none. An IPv4 address as a socket for both families has it
    (::ffff:192.0.2.1) is the IPv4 address.
    """
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def shown(url: str) -> str:
    """Scheme, host and path; the rest is hidden, because a password or a key in it must not reach a log.

    A text of another form is hidden whole where it may be a user and a password, or a libpq DSN.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(hidden)"
    if not (parts.scheme and parts.netloc) and "://" not in url:
        return "(hidden)" if re.search(r"[@=:\s]", url) else url
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    path = "/(hidden)" if "/services/" in parts.path else parts.path
    rest = "?(hidden)" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{user}{':(hidden)' if colon else ''}{at}{host}{path}{rest}"


def _http_parts(url: str) -> SplitResult:
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidSettingError("SETTING_NOT_AN_HTTP_ADDRESS")
    if "@" in parts.netloc:
        raise InvalidSettingError("SETTING_CARRIES_A_USER")
    if "?" in url or "#" in url:
        raise InvalidSettingError("SETTING_HAS_A_QUERY")
    if not _URL_CHARACTERS.fullmatch(url):
        raise InvalidSettingError("SETTING_HAS_OTHER_CHARACTERS")
    try:
        _ = parts.port
    except ValueError:
        raise InvalidSettingError("SETTING_PORT_IMPOSSIBLE") from None
    return parts


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidSettingError("SETTING_NOT_AN_ADDRESS") from None
