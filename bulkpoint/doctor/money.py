"""What a call to the money API needs: the token, the CA certificates, the adapter, and a way to it."""

from collections.abc import Iterator

from bulkpoint.doctor.adapter import importing_as_a_worker, try_first_call
from bulkpoint.doctor.questions import Question, problem
from bulkpoint.errors import BulkpointError, UnreachableError, UsageError
from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.reach import NotReached, try_to_reach
from bulkpoint.money.trust import ca_bundle
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.checks import Check, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, money_secret_files, money_secrets, read_secret

# A try may take longer than a call: a machine that starts much at once is slow for a moment.
TRY_S_MAX = 3.0
# Where the words for the cause leave open what happened.
_CAUSES_WITH_DETAIL = {Cause.NAME_NOT_RESOLVED, Cause.CERTIFICATE_NOT_TRUSTED, Cause.TLS_FAILED, Cause.NOT_CONNECTED}


def questions(settings: Settings) -> list[Question]:
    """Everything about the money API, in the order in which it is set up."""
    return [
        Question("money-secrets", lambda: _secrets(settings)),
        Question("money-ca", lambda: _ca_file(settings)),
        Question("money-adapter", lambda: _adapter(settings)),
        Question("money", lambda: _reach(settings)),
    ]


def _secrets(settings: Settings) -> Iterator[Check]:
    named = money_secret_files(settings)
    if not named:
        yield ok("money-secrets", Refusal("NO_TOKEN_IS_SET"))
    for secret in named:
        try:
            read_secret(secret.file, secret.setting)
        except BulkpointError as error:
            yield problem("money-secrets", error)
        else:
            yield ok("money-secrets", Refusal("SECRET_READ", {"secret": secret.name, "file": str(secret.file)}))


def _ca_file(settings: Settings) -> Iterator[Check]:
    file = ca_bundle(settings.money_ca_file)
    if settings.money_ca_file is None:
        yield ok("money-ca", Refusal("CA_FILE_OF_CERTIFI", {"file": file}))
    elif settings.money_url.startswith("http:"):
        yield warning("money-ca", Refusal("CA_FILE_WITHOUT_HTTPS", {"file": file, "url": settings.money_url}))
    else:
        yield ok("money-ca", Refusal("CA_FILE_READ", {"file": file}))


def _adapter(settings: Settings) -> Iterator[Check]:
    name = settings.money_adapter
    try:
        secrets = money_secrets(settings)
    except BulkpointError:
        return  # the check of the secrets says it; no adapter can be made without
    if name is None:
        load_adapter(None, secrets)
        yield ok("money-adapter", Refusal("ADAPTER_OF_CONTRACT"))
        return
    with importing_as_a_worker():
        try:
            try_first_call(load_adapter(name, secrets))
        except BulkpointError as error:
            if settings.spark_is_local or error.refusal.code != "ADAPTER_NOT_IMPORTABLE":
                raise
            yield warning("money-adapter", error.refusal)  # the cluster's machines may have it
            return
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
            raise UsageError("ADAPTER_RAISES", "correct_adapter", adapter=name, why=why) from error
    yield ok("money-adapter", Refusal("ADAPTER_LOADED", {"adapter": name}))


def _reach(settings: Settings) -> Iterator[Check]:
    url, timeout_s = settings.money_url, settings.money_connect_timeout_s
    try:
        ca_bundle(settings.money_ca_file)
    except BulkpointError:
        return  # the check of the CA file says it
    reached = try_to_reach(url, settings.money_ca_file, seconds_max=max(timeout_s, TRY_S_MAX))
    if isinstance(reached, NotReached):
        facts = {"url": url, "cause": str(reached.cause), "detail": reached.detail}
        said = ("detail_of_connecting",) if reached.cause in _CAUSES_WITH_DETAIL else ()
        raise UnreachableError(Refusal("MONEY_UNREACHABLE", facts, (*said, "check_money_address")))
    known = {"url": url, "address": reached.address, "took_s": reached.took_s, "timeout_s": timeout_s}
    if reached.only_http2:
        yield warning("money", Refusal("MONEY_OFFERS_HTTP2_ONLY", known, ("allow_http1",)))
    elif reached.took_s > timeout_s:
        yield warning("money", Refusal("MONEY_IS_SLOW_TO_CONNECT", known, ("raise_connect_timeout",)))
    elif reached.tls is None:
        yield ok("money", Refusal("MONEY_CONNECTED", known))
    else:
        yield ok("money", Refusal("MONEY_CONNECTED_BY_TLS", {**known, "tls": reached.tls}))
