"""`bulkpoint doctor --money`: proves what a run relies on, with one real point for a test member.

At most ten calls, each through the gate. They are no payments of a campaign: the audit log has who made them.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID, uuid4

from bulkpoint.campaigns.promises import apply_promises, keep_promises, promises_of
from bulkpoint.doctor.questions import problem
from bulkpoint.errors import BulkpointError, RefusedError, UnreachableError, UsageError
from bulkpoint.money.adapter import Adapter, load_adapter
from bulkpoint.pay.call_loop import CallTerms
from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.lease import LeaseTerms
from bulkpoint.pay.one_by_one import Answered, OneByOne, under_a_share
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import Outcome, Overload
from bulkpoint.rules.checks import Check, Verdict, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings, money_secrets
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.right import require_right
from bulkpoint.store.share import allocate_first_shares

# Of no campaign: ours are numbered from 1.
CAMPAIGN_ID = 999_999_999
POINTS = 1
REASON = "bulkpoint doctor"
# How long after the credit it is looked up, in seconds.
LOOKS_AFTER_S = (0.5, 2.0, 5.0)


def try_contract(
    connection: Connection, database_url: str, settings: Settings, *, member_id: str, actor: str
) -> Iterator[Check]:
    """One check for each thing that a run relies on; ends after the first that makes the next ones meaningless.

    Needs the right `start`. What no call can be made for is a problem too.
    """
    try:
        require_right(connection, Right.START)
        settings = apply_promises(keep_promises(connection, settings, actor=actor), settings)
        terms = CallTerms.of(CAMPAIGN_ID, settings)
        ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=actor)
        allocate_first_shares(connection)
        lease_terms = LeaseTerms(
            database_url, "bulkpoint doctor", None, promises_of(settings), settings.limit_counts_from
        )
        payment = _payment(member_id, uuid4())
        with under_a_share(connection, terms, lease_terms) as calls:
            _write_down(connection, settings, payment, actor=actor)
            yield from _Trial(calls, settings, payment).checks()
    except BulkpointError as error:
        yield problem("contract", error)


def looks_after_s(settle_s: float) -> list[float]:
    """After a first look at once, until the settle time, when it is proof that nothing is found; at most 5 s."""
    before = [after_s for after_s in LOOKS_AFTER_S if after_s < settle_s]
    return [*before, settle_s] if settle_s <= LOOKS_AFTER_S[-1] else before


def _write_down(connection: Connection, settings: Settings, payment: Payment, *, actor: str) -> None:
    """Before the first call, so that nothing is ever credited without a trace."""
    detail: dict[str, object] = {
        "money_url": settings.money_url,
        "member_id": payment.member_id,
        "amount": payment.amount,
        "key": str(payment.key),
    }
    with connection.transaction():
        write_audit(connection, action="doctor.money", campaign_id=None, run_no=None, actor=actor, detail=detail)


def _payment(member_id: str, key: UUID) -> Payment:
    return Payment(1, member_id, POINTS, REASON, key, 0, False, None, None, None)


class _Trial:
    """The calls of one trial, in order."""

    def __init__(self, calls: OneByOne, settings: Settings, payment: Payment) -> None:
        self._calls = calls
        self._settings = settings
        self._payment = payment
        self._content_types: set[str] = set()
        self._transaction_id = ""

    def checks(self) -> Iterator[Check]:
        """Each step is one check; a step that is answered otherwise ends what follows from it."""
        unknown = self._ask(replace(self._payment, key=uuid4()), look_up=True)
        absent = self._judge("contract-unknown-key", unknown, {Outcome.NOT_FOUND})
        yield absent
        if absent.may_pass:  # it does not answer: nothing is credited for nothing
            return
        credited = self._ask(self._payment, look_up=False)
        first = self._judge("contract-credit", credited, {Outcome.CREDITED})
        yield first
        if first.verdict is not Verdict.OK:
            return
        self._transaction_id = credited.verdict.transaction_id or ""
        yield self._look_up(since=credited.answered_at)
        yield self._same_key()
        other_body = self._ask(replace(self._payment, amount=POINTS + 1), look_up=False)
        yield self._judge("contract-other-body", other_body, {Outcome.MISMATCH})
        yield from self._wrong_token()
        yield self._content_type()

    def _look_up(self, *, since: float) -> Check:
        """How soon a look-up sees the credit, and that it shows the same one."""
        settle_s = self._settings.money_settle_s
        found = self._ask(self._payment, look_up=True)
        for after_s in looks_after_s(settle_s):
            if found.answer.outcome is not Outcome.NOT_FOUND:
                break
            time.sleep(max(0.0, since + after_s - boot_clock()))
            found = self._ask(self._payment, look_up=True)
        seen_s = found.answered_at - since
        if found.answer.outcome is Outcome.NOT_FOUND:
            facts = {"seconds": seen_s, "settle_s": settle_s}
            if seen_s < settle_s:
                return warning("contract-look-up", Refusal("CREDIT_NOT_SEEN_YET", facts))
            return problem("contract-look-up", UsageError("CREDIT_NOT_SEEN", "raise_settle_time", **facts))
        judged = self._judge("contract-look-up", found, {Outcome.FOUND})
        if judged.verdict is not Verdict.OK:
            return judged
        if found.verdict.transaction_id != self._transaction_id:
            return problem("contract-look-up", self._another_id(found))
        return ok("contract-look-up", Refusal("CREDIT_SEEN", {"seconds": seen_s, "settle_s": settle_s}))

    def _same_key(self) -> Check:
        again = self._ask(self._payment, look_up=False)
        judged = self._judge("contract-same-key", again, {Outcome.CREDITED})
        if judged.verdict is Verdict.OK and again.verdict.transaction_id != self._transaction_id:
            return problem("contract-same-key", self._another_id(again))
        return judged

    def _another_id(self, answered: Answered) -> BulkpointError:
        return UsageError(
            "ANOTHER_TRANSACTION_ID",
            "do_not_pay",
            first=self._transaction_id,
            second=answered.verdict.transaction_id,
            key=str(self._payment.key),
        )

    def _wrong_token(self) -> Iterator[Check]:
        """Only where there is a token; it is a look-up, so that an API that takes any token credits nothing."""
        secrets = money_secrets(self._settings)
        if "token" not in secrets:
            return
        adapter = load_adapter(self._settings.money_adapter, {**secrets, "token": f"not-{uuid4().hex}"})
        answered = self._ask(self._payment, look_up=True, adapter=adapter)
        if answered.answer.outcome is Outcome.UNAUTHORIZED:
            yield ok("contract-wrong-token", _as_expected(answered))
        else:
            yield warning("contract-wrong-token", Refusal("WRONG_TOKEN_NOT_REFUSED", _facts(answered)))

    def _content_type(self) -> Check:
        others = sorted(kind for kind in self._content_types if not kind.startswith("application/json"))
        if others and self._settings.money_adapter is None:
            return warning("contract-content-type", Refusal("CONTENT_TYPE_NOT_JSON", {"types": tuple(others)}))
        return ok("contract-content-type", Refusal("CONTENT_TYPES", {"types": tuple(sorted(self._content_types))}))

    def _ask(self, payment: Payment, *, look_up: bool, adapter: Adapter | None = None) -> Answered:
        answered = self._calls.ask(payment, look_up=look_up, adapter=adapter)
        if answered.content_type is not None:
            self._content_types.add(answered.content_type)
        return answered

    def _judge(self, name: str, answered: Answered, expected: set[Outcome]) -> Check:
        """Whether the answer is the expected one, as the adapter reads it or as a run would take it."""
        # Of a look-up that finds nothing, a run asks for more: that it comes late enough to be proof.
        absent = answered.answer.outcome is Outcome.NOT_FOUND
        if (Outcome.NOT_FOUND if absent else answered.verdict.outcome) in expected:
            return ok(name, _as_expected(answered))
        facts = {**_facts(answered), "expected": tuple(sorted(expected))}
        if answered.verdict.overload is Overload.NONE:
            return problem(name, RefusedError("CONTRACT_NOT_KEPT", "compare_with_contract", **facts))
        return problem(name, UnreachableError("CONTRACT_NOT_ANSWERED", **facts))


def _as_expected(answered: Answered) -> Refusal:
    return Refusal("CONTRACT_KEPT", _facts(answered))


def _facts(answered: Answered) -> Mapping[str, object]:
    code = answered.verdict.code or answered.answer.code
    return {"outcome": str(answered.answer.outcome), "status": answered.status, "code": code or Refusal("NO_CODE")}
