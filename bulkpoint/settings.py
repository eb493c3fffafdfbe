"""The settings: every name, its default, its rule and its explanation. Nothing else in the project reads BULKPOINT_*.

An environment variable wins over the TOML file, the file over the default. The file is the one that BULKPOINT_CONF
names, else conf/bulkpoint.toml of the working directory, else the shipped one, in which everything is commented out.
The descriptions here are the documentation: `bulkpoint settings` and conf/bulkpoint.toml are made from them.
"""

import difflib
import os
import re
import tomllib
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bulkpoint import addresses, files
from bulkpoint.addresses import InvalidSettingError
from bulkpoint.errors import UsageError
from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import quoted

_PREFIX = "BULKPOINT_"
_NOT_SETTINGS = {"BULKPOINT_CONF"}  # names the file of the settings, so it is not one
_SHOWN_MAX = 200  # characters of a value in a message: a longer one would hide the sentence
# A pydantic rule that a value breaks, with the bound's name where it has one, and our code for it.
_BROKEN_BOUNDS = {
    "greater_than_equal": ("SETTING_TOO_SMALL", "ge"),
    "less_than_equal": ("SETTING_TOO_LARGE", "le"),
    "greater_than": ("SETTING_NOT_ABOVE", "gt"),
}
_BROKEN_TYPES = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), "SETTING_NOT_A_WHOLE_NUMBER"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "SETTING_NOT_A_NUMBER"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "SETTING_NOT_TRUE_OR_FALSE"),
}
# At the beginning of a file that an editor or a shell has encoded, and of which encoding.
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_SECRET_BYTES_MAX = 16_384  # the longest token in use is a signed one of a few kB; a larger file is the wrong file


def _not_a_boolean(value: object) -> object:
    if isinstance(value, bool):  # TOML's true; pydantic would take it as 1
        raise InvalidSettingError("SETTING_NOT_A_NUMBER")
    return value


def _absolute(path: Path) -> Path:
    """Absolute from the present working directory, so that a job that runs in another folder means the same file."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 (resolve() would replace symbolic links)


def _timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidSettingError("SETTING_NOT_A_TIME_ZONE") from error
    return name


def _secret_files(value: str) -> str:
    """The same files, with absolute paths."""
    names = set[str]()
    files = []
    for part in value.split(","):
        name, _, path = part.strip().partition("=")
        if not (re.fullmatch(r"[A-Za-z_]\w*", name) and path.strip()) or name == "token" or name in names:
            raise InvalidSettingError("SETTING_NOT_SECRET_FILES")
        names.add(name)
        files.append(f"{name}={_absolute(Path(path.strip()))}")
    return ",".join(files)


_Whole = Annotated[int, BeforeValidator(_not_a_boolean)]
_Number = Annotated[float, BeforeValidator(_not_a_boolean)]
_File = Annotated[Path, AfterValidator(_absolute)]
_Points = Annotated[_Whole, Field(ge=1)]


class Settings(BaseSettings):
    """What this deployment is set to. Read with load_settings(); an attribute here is BULKPOINT_<NAME> outside."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True, allow_inf_nan=False)

    # Where things are
    database_url: Annotated[str, AfterValidator(addresses.database_url)] | None = Field(
        None,
        description="PostgreSQL as postgresql://user@host:port/name, password in PGPASSFILE; not set: an embedded one",
    )
    data_dir: _File = Field(
        Path(".bulkpoint"), validate_default=True, description="Folder of the embedded PostgreSQL and other local data"
    )

    # The money API
    money_url: Annotated[str, AfterValidator(addresses.money_url)] = Field(
        "http://127.0.0.1:9090", description="Address of the money API; https, except on this machine"
    )
    money_token_file: _File | None = Field(None, description="File with the bearer token for the money API")
    money_secret_files: Annotated[str, AfterValidator(_secret_files)] | None = Field(
        None, description="Files with more secrets for an adapter of one's own, as name=/path,name2=/path2"
    )
    money_ca_file: _File | None = Field(
        None, description="File with the CA certificates to check the money API's by (PEM)"
    )
    money_adapter: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="Class that speaks to another money API, as module:Class",
    )
    money_transport: Literal["curl", "requests"] = Field("curl", description="HTTP client for the money API")
    money_connect_timeout_s: _Number = Field(
        1, gt=0, le=60, description="Timeout of a connection to the money API, in seconds"
    )
    money_timeout_s: _Number = Field(5, gt=0, le=60, description="Timeout of a whole call to the money API, in seconds")
    money_key_retention_h: _Number = Field(
        24,
        gt=0,
        le=1_000_000,
        description="Hours that the money API remembers an idempotency key; an older payment is only looked up",
    )

    money_settle_s: _Number = Field(
        60,
        ge=0,
        le=86_400,
        description="Visibility delay, in seconds: a look-up after that proves that nothing was credited",
    )

    # The limit
    tps: _Whole = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="First value of the limit, calls a second; later `tps set` changes it; 0: paused",
    )
    limit_counts_from: Literal["send", "answer"] = Field(
        "send", description="When a call's second starts: send (fast), or answer (exact at the money API's clock)"
    )
    guard_ms: _Whole = Field(
        8, ge=0, le=1000, description="Milliseconds added to the second, for network delay that varies"
    )
    partitions: _Whole | None = Field(
        None, ge=1, le=10_000, description="Shares of the limit, one partition each; not set: Spark's slots less one"
    )
    in_flight: _Whole | None = Field(
        None, ge=1, le=1000, description="Maximum of calls under way in one partition; not set: from its rate"
    )
    wave_seconds: _Whole = Field(
        300, ge=1, le=86_400, description="Length of one wave (one Spark job), in seconds of work"
    )

    # Trouble
    retries: _Whole = Field(3, ge=0, le=10, description="Maximum of repeated calls of a payment in one run")
    backoff_s: _Number = Field(
        3, ge=0, le=3600, description="Wait before a repeated call, in seconds (fixed, not exponential)"
    )
    breaker_patience_s: _Number = Field(
        120, ge=0, le=86_400, description="Seconds that the money API may be down before the run ends FAILED"
    )
    max_failed_ratio: _Number = Field(
        0.5,
        ge=0,
        le=1,
        description="Ratio of FAILED that ends a run: among its latest 500 results, or all at its end; 1: never",
    )
    auto_retry_runs: _Whole = Field(0, ge=0, le=10, description="Automatic RETRY runs over the failed payments")

    # What may be paid
    max_amount_per_row: _Points | None = Field(None, description="Maximum of points for one target; not set: 10^12")
    max_amount_per_campaign: _Points | None = Field(
        None, description="Maximum of points for one campaign; not set: no maximum"
    )
    near_copy_share: _Number = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of members in common with lists of 90 days, with the same amounts, that needs --same-as",
    )
    require_approval: bool = Field(False, description="A campaign starts only after a second login approved it")

    # People
    actor: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="On whose behalf this runs, as claimed; not set: the operating system's user",
    )
    check_days: _Whole = Field(
        30, ge=1, le=3650, description="Days after which `check` only lists what it has named since, as old"
    )
    keep_attempts_days: _Whole | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days after a campaign's end for which `db trim` keeps its calls, never less than money's key"
        " retention; not set: always",
    )
    agent_seconds: _Number = Field(
        2, ge=0.1, le=60, description="Seconds between two looks of `bulkpoint agent` for a start request"
    )
    progress_seconds: _Number = Field(5, gt=0, le=3600, description="Seconds between two lines of progress")
    web_url: Annotated[str, AfterValidator(addresses.web_url)] | None = Field(
        None, description="Address of `bulkpoint web` as people open it; messages then carry links to it"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Form of the log of job, relay, notifier, agent and page: text, or json (an object a line)"
    )
    language: Literal["ko", "en"] = Field("ko", description="Language of messages and reports: ko or en")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "Asia/Seoul", description="Time zone of times shown to people"
    )

    # The page
    web_cert_file: _File | None = Field(
        None, description="File with the certificate of the page's own TLS, and those it is signed by (PEM)"
    )
    web_key_file: _File | None = Field(None, description="File with the key of that certificate (PEM)")
    web_metrics_token_file: _File | None = Field(
        None, description="File with the bearer token for the page's /metrics; not set: only from its own machine"
    )
    web_statement_timeout_s: _Number = Field(
        5, gt=0, le=600, description="Seconds that one question of a page may take in the database"
    )

    # Spark
    spark_master: str = Field(
        "local",
        pattern=r"^(local(\[[\d*]+(,\s*\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|yarn|(spark|k8s)://\S+)$",
        description="Spark's master: local (one machine), yarn, spark://host:7077, k8s://https://host",
    )
    jdbc_jar: _File | None = Field(None, description="Jar of the PostgreSQL JDBC driver; not set: fetched by set-up")
    postgres_jar: _File | None = Field(None, description="Jar of the embedded PostgreSQL; not set: fetched by set-up")

    # Slack and Kafka
    slack_token_file: _File | None = Field(None, description="File with Slack's bot token")
    slack_channel: str | None = Field(None, description="Slack channel for messages; not set: no messages")
    slack_base_url: Annotated[str, AfterValidator(addresses.slack_url)] | None = Field(
        None, description="Address of Slack's Web API; not set: Slack's own"
    )
    kafka_bootstrap_servers: str | None = Field(
        None,
        pattern=r"^[^\s,:/@]+:\d{1,5}(,[^\s,:/@]+:\d{1,5})*$",
        description="Kafka's brokers as host:port,host:port; not set: events stay in the outbox",
    )
    kafka_topic: str = Field(
        "bulkpoint.events", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Kafka topic for events"
    )

    kafka_security_protocol: Literal["plaintext", "ssl", "sasl_ssl"] = Field(
        "plaintext", description="Protocol to Kafka: plaintext, ssl, or sasl_ssl with a user and a password"
    )
    kafka_ca_file: _File | None = Field(None, description="File with the CA certificates to check Kafka's by (PEM)")
    kafka_certificate_file: _File | None = Field(None, description="File with the client certificate for Kafka (PEM)")
    kafka_key_file: _File | None = Field(None, description="File with the key of that certificate (PEM)")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism of Kafka"
    )
    kafka_username: str | None = Field(None, description="User at Kafka")
    kafka_password_file: _File | None = Field(None, description="File with that user's password")

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic-settings passes all five by name)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads no source by itself: load_settings merges the sources, to know where each value comes from."""
        return (init_settings,)

    @model_validator(mode="after")
    def _connecting_is_part_of_the_call(self) -> Self:
        if self.money_connect_timeout_s > self.money_timeout_s:
            raise InvalidSettingError(
                "SETTING_CONNECTING_LONGER_THAN_CALL",
                connect_timeout_s=self.money_connect_timeout_s,
                timeout_s=self.money_timeout_s,
            )
        return self

    @model_validator(mode="after")
    def _kafka_has_what_it_needs(self) -> Self:
        if self.kafka_security_protocol == "sasl_ssl" and not (self.kafka_username and self.kafka_password_file):
            raise InvalidSettingError("SETTING_KAFKA_USER_MISSING")
        if (self.kafka_certificate_file is None) != (self.kafka_key_file is None):
            raise InvalidSettingError("SETTING_KAFKA_KEY_OR_CERTIFICATE_MISSING")
        return self

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if (self.web_cert_file is None) != (self.web_key_file is None):
            raise InvalidSettingError("SETTING_WEB_KEY_OR_CERTIFICATE_MISSING")
        return self

    @property
    def spark_is_local(self) -> bool:
        """Whether Spark runs on this machine, so that its workers are here, too."""
        return self.spark_master.startswith("local")

    def source_of(self, name: str) -> str:
        """Where a value is from: "environment", "default" or the path of the TOML file."""
        return self._sources.get(name, "default")


class ShownSetting(NamedTuple):
    """One line of `bulkpoint settings`."""

    name: str
    value: str
    source: str


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment (the process's, unless another is given), the TOML file, the defaults.

    Raises:
        UsageError: an unknown name or a value that breaks its rule, or several of them (SETTINGS_WRONG).
    """
    environ = os.environ if environ is None else environ
    file = _settings_file(environ)
    from_file = _read_toml(file)
    from_environment = _read_environment(environ)
    values = {**from_file, **from_environment}
    sources = {name: "environment" if name in from_environment else str(file) for name in values}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _all_of([_refusal(detail, sources) for detail in error.errors()]) from None
    settings._sources.update(sources)
    return settings


class SettingWithheldError(Exception):
    """A setting was asked for whose value is wrong: what it should be is not known."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.refusal = Refusal("CHECK_LEFT_OUT", {"setting": _PREFIX + name.upper()})


class _Withholding:
    """Settings that raise SettingWithheldError for some of them, and are as they are for all others."""

    def __init__(self, settings: Settings, withheld: frozenset[str]) -> None:
        self._settings = settings
        self._withheld = withheld

    def __getattr__(self, name: str) -> Any:
        if name in self._withheld:
            raise SettingWithheldError(name)
        return getattr(self._settings, name)


def usable_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings where some of them are wrong: these, and those whose names are nearest to an unknown name, raise
    SettingWithheldError when they are read, and never have their default.

    Raises UsageError where the file of settings cannot be used: then nothing is known of any.
    """
    environ = os.environ if environ is None else environ
    ours = {name: environ[name] for name in environ if name.startswith(_PREFIX) and name not in _NOT_SETTINGS}
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in ours.items() if value}
    values = {**_toml_of(_settings_file(environ)), **source()}
    names = set(values) | {name.removeprefix(_PREFIX).lower() for name in ours}
    withheld: set[str] = set()
    for name in names - set(Settings.model_fields):
        withheld.update(difflib.get_close_matches(name, Settings.model_fields, n=1))
    while True:
        usable = {name: value for name, value in values.items() if name in Settings.model_fields}
        try:
            settings = Settings(**{name: value for name, value in usable.items() if name not in withheld})
        except ValidationError as error:
            wrong = {name for detail in error.errors() for name in _names_of(detail)}
            invariant(not wrong <= withheld, "a setting is wrong though it is not set")
            withheld |= wrong
        else:
            return cast(Settings, _Withholding(settings, frozenset(withheld)))


def _names_of(detail: Any) -> list[str]:
    """The settings that one of pydantic's errors is about."""
    if detail["loc"]:
        return [str(detail["loc"][0])]
    if detail["ctx"]["error"].code == "SETTING_CONNECTING_LONGER_THAN_CALL":
        return ["money_connect_timeout_s", "money_timeout_s"]
    if detail["ctx"]["error"].code == "SETTING_WEB_KEY_OR_CERTIFICATE_MISSING":
        return ["web_cert_file", "web_key_file"]
    return [name for name in Settings.model_fields if name.startswith("kafka_")]


def describe(settings: Settings) -> list[ShownSetting]:
    """Every setting with its value as it may be shown (no secret in it) and its source, in the order they have here."""
    return [
        ShownSetting(_PREFIX + name.upper(), _shown(name, getattr(settings, name)), settings.source_of(name))
        for name in Settings.model_fields
    ]


def example_toml() -> str:
    """The text of conf/bulkpoint.toml: every setting commented out, at its default, under its explanation."""
    lines = [
        "# bulkpoint's settings. Take the # off a line to change it; an environment variable BULKPOINT_<NAME> wins.",
        "# Secrets are not in this file: settings such as money_token_file name the file that has one.",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if default is None:
            example = "..."
        elif isinstance(default, bool):
            example = str(default).lower()
        elif isinstance(default, int | float):
            example = f"{default:g}"
        else:
            example = f'"{default}"'
        lines += ["", f"# {field.description}", f"# {name} = {example}"]
    return "\n".join(lines) + "\n"


def read_secret(path: Path, name: str) -> str:
    """The secret in a file, without the line end that editors add; read from the file each time, so it can be rotated.

    Args:
        path: the file.
        name: the setting that names it, for the message, for example ``"BULKPOINT_MONEY_TOKEN_FILE"``.

    Raises:
        UsageError: the file is missing, unreadable, empty or not one line of printable ASCII. No message shows the
            file's content, nor its own name where there is no such file: it may be the secret, put there by mistake.
    """
    try:
        content = files.read_bounded(path, _SECRET_BYTES_MAX + 1)
    except FileNotFoundError:
        raise UsageError("SECRET_FILE_MISSING", "write_secret_to_file", setting=name) from None
    except files.NotAFileError as error:
        raise UsageError(
            "SECRET_FILE_IS_NO_FILE", "write_secret_to_file", setting=name, file=str(path), kind=Refusal(error.kind)
        ) from None
    except OSError as error:
        raise UsageError(
            "SECRET_FILE_UNREADABLE", "make_readable", setting=name, file=str(path), why=error.strerror
        ) from None
    if not content.strip():
        raise UsageError("SECRET_FILE_EMPTY", "write_secret", setting=name, file=str(path))
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    wrong = _wrong_with_secret(secret)
    if wrong is not None:
        raise UsageError("SECRET_FILE_HOLDS_NO_SECRET", "write_only_secret", setting=name, file=str(path), why=wrong)
    return secret.decode("ascii")


def _wrong_with_secret(secret: bytes) -> Refusal | None:
    """Why these bytes are not one line of printable ASCII; None where they are. Shows none of them but a wrong one."""
    if len(secret) > _SECRET_BYTES_MAX:
        return Refusal("SECRET_TOO_LONG", {"bytes_max": _SECRET_BYTES_MAX})
    for mark, encoding in _BYTE_ORDER_MARKS:
        if secret.startswith(mark):
            return Refusal("SECRET_BEGINS_WITH_BOM", {"encoding": encoding})
    if line_ends := secret.count(b"\n"):
        return Refusal("SECRET_OF_SEVERAL_LINES", {"lines": line_ends + 1})
    for place, byte in enumerate(secret, start=1):
        if not 0x21 <= byte <= 0x7E:
            return Refusal("SECRET_HAS_BYTE", {"place": place, "byte": f"0x{byte:02X}"})
    return None


def money_secrets(settings: Settings) -> dict[str, str]:
    """What the adapter to the money API gets: `token`, and the secrets of money_secret_files by their names.

    Raises UsageError where a file cannot be used.
    """
    return {secret.name: read_secret(secret.file, secret.setting) for secret in money_secret_files(settings)}


class SecretFile(NamedTuple):
    """Where a secret is, and which setting says so."""

    name: str
    file: Path
    setting: str


def money_secret_files(settings: Settings) -> list[SecretFile]:
    """The files of the secrets that the adapter gets."""
    found = []
    if settings.money_token_file:
        found.append(SecretFile("token", settings.money_token_file, "BULKPOINT_MONEY_TOKEN_FILE"))
    for part in settings.money_secret_files.split(",") if settings.money_secret_files else ():
        name, _, path = part.partition("=")
        found.append(SecretFile(name, Path(path), "BULKPOINT_MONEY_SECRET_FILES"))
    return found


def _settings_file(environ: Mapping[str, str]) -> Path | Traversable:
    if named := environ.get("BULKPOINT_CONF"):
        file = _absolute(Path(named))
        if not file.is_file():
            raise UsageError("SETTINGS_FILE_MISSING", "correct_or_remove_variable", file=str(file))
        return file
    here = Path.cwd() / "conf" / "bulkpoint.toml"
    return here if here.is_file() else files.find("conf/bulkpoint.toml")


def _read_toml(file: Path | Traversable) -> dict[str, Any]:
    values = _toml_of(file)
    _refuse_unknown(values, Settings.model_fields, "SETTING_UNKNOWN_IN_FILE", file=str(file))
    return values


def _toml_of(file: Path | Traversable) -> dict[str, Any]:
    try:
        values: dict[str, Any] = TomlConfigSettingsSource(Settings, file).toml_data
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("SETTINGS_FILE_NOT_TOML", "correct_line", file=str(file), why=str(error)) from None
    except OSError as error:
        raise UsageError("FILE_UNREADABLE", "make_readable", file=str(file), why=error.strerror) from None
    return values


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    ours = {name for name in environ if name.startswith(_PREFIX)} - _NOT_SETTINGS
    _refuse_unknown(ours, [_PREFIX + name.upper() for name in Settings.model_fields], "SETTING_UNKNOWN_IN_ENVIRONMENT")
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): environ[name] for name in ours if environ[name]}
    return source()


def _refuse_unknown(names: Iterable[str], known: Iterable[str], code: str, **facts: str) -> None:
    refusals = []
    for name in sorted(set(names) - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        if nearest:
            refusals.append(Refusal(code, {"setting": name, "nearest": nearest[0], **facts}, ("take_nearest",)))
        else:
            refusals.append(Refusal(code, {"setting": name, **facts}, ("list_settings",)))
    if refusals:
        raise _all_of(refusals)


def _all_of(refusals: Sequence[Refusal]) -> UsageError:
    return UsageError(refusals[0] if len(refusals) == 1 else Refusal("SETTINGS_WRONG", {"problems": tuple(refusals)}))


def _refusal(detail: Any, sources: Mapping[str, str]) -> Refusal:
    """One of pydantic's errors as a refusal: which name, from where, which value, which rule, what to do."""
    context = detail.get("ctx", {})
    if not detail["loc"]:
        return Refusal(context["error"].code, context["error"].facts)
    name = str(detail["loc"][0])
    code, facts = _broken_rule(name, detail, context)
    facts["setting"] = (
        _PREFIX + name.upper()
        if sources[name] == "environment"
        else Refusal("SETTING_OF_FILE", {"setting": name, "file": sources[name]})
    )
    facts["value"] = _shown(name, detail["input"])
    default = Settings.model_fields[name].default
    if default is None:
        return Refusal(code, facts, ("change_or_remove",))
    return Refusal(code, {**facts, "default": _shown(name, default)}, ("change_or_default",))


def _broken_rule(name: str, detail: Any, context: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The code of the rule that a value breaks, and the facts of that rule."""
    match detail["type"]:
        case "value_error":
            return context["error"].code, dict(context["error"].facts)
        case "literal_error":
            *others, last = re.findall("'([^']*)'", context["expected"])
            return "SETTING_NOT_ONE_OF_THESE", {"others": tuple(others), "last": last}
        case "string_pattern_mismatch":
            return "SETTING_OF_ANOTHER_FORM", {"form": Settings.model_fields[name].description}
        case kind if kind in _BROKEN_BOUNDS:
            code, bound = _BROKEN_BOUNDS[kind]
            return code, {"bound": _shown(name, context[bound])}
        case kind if kind in _BROKEN_TYPES:
            return _BROKEN_TYPES[kind], {}
    return "SETTING_WRONG", {"why": detail["msg"]}


def _shown(name: str, value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    if name.endswith(("_token_file", "_password_file")):
        return _shown_secret_file(Path(str(value)))
    if name == "money_secret_files":
        return ",".join(_shown_secret_part(part) for part in str(value).split(","))
    text = addresses.shown(str(value)) if name.endswith("_url") else str(value)
    return text if text.isprintable() and len(text) <= _SHOWN_MAX else quoted(text, _SHOWN_MAX)


def _shown_secret_file(path: Path) -> str:
    """The path, if there is such a file: a token that was set instead of a path must not be shown."""
    return str(path) if os.path.exists(path) else "(no such file)"  # noqa: PTH110 (Path's raises for a name too long)


def _shown_secret_part(part: str) -> str:
    """One of money_secret_files; neither its name where there is no such file: it may be a part of a secret."""
    path = part.partition("=")[2].strip()
    shown = _shown_secret_file(Path(path))
    return part if path and shown == path else "(no such file)"


if __name__ == "__main__":
    print(example_toml(), end="")
