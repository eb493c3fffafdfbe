"""Settles one payment by a person's word: it was paid at the money API by hand, under a transaction id of its own.

The money API is asked first, by our key, through the gate as for any call. Its word comes before the person's: what it
credited under our key is recorded as its own, and a word that contradicts it is shown and not applied.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.promises import apply_promises, keep_promises, promises_of
from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.pay.call_loop import CallTerms
from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.lease import LeaseTerms
from bulkpoint.pay.one_by_one import under_a_share
from bulkpoint.pay.task import Payment
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.rules.answers import TRANSACTION_ID_CHARACTERS_MAX, is_transaction_id
from bulkpoint.rules.by_hand import AskAgain, MoneySays, judge_word
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.rules.member_names import Eyes
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.payment import PaymentNumber, member_of_payment, other_owner_of_transaction
from bulkpoint.store.reconcile import EndedRun, Finding, apply_findings, keep_from_starting
from bulkpoint.store.right import sees_members
from bulkpoint.store.settle import (
    REASON_CHARACTERS_MAX,
    PaymentToSettle,
    find_payment_to_settle,
    is_settled_by_hand,
    note_settled_by_hand,
)
from bulkpoint.store.share import allocate_first_shares
from bulkpoint.text import quoted
from bulkpoint.views.sentences import sentence

# Calls without a usable answer, and the seconds between them.
TRIES_MAX = 4
AGAIN_AFTER_S = 1.0
VALUE_CHARACTERS_SHOWN = 60

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says: this member's payment was made at the money API under this transaction id, and why.

    sees: whether the person may see member ids; also the one that the person names is masked otherwise.
    """

    campaign_id: int
    member_id: str
    transaction_id: str
    reason: str
    actor: str
    sees: bool = False

    @property
    def eyes(self) -> Eyes:
        """Through which every member that is shown passes."""
        return Eyes(self.sees)


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment that is SUCCESS under the named transaction id. amount: points.

    money_says: what the money API said about our key just now; None where the payment was SUCCESS before, and nothing
    was asked or changed. by_hand: only the person's word says that it was paid.
    """

    campaign_id: int
    member_id: str
    amount: int
    transaction_id: str
    money_says: MoneySays | None
    by_hand: bool


def settle_payment(connection: Connection, database_url: str, settings: Settings, word: Word, *, say: Say) -> Settled:
    """Make the payment SUCCESS, if the money API does not contradict the word; counters, event and audit row with it.

    Needs the right `reconcile`. Raises UsageError for a value that cannot be meant; RefusedError where the campaign is
    RUNNING or was never started, where the payment is SUCCESS under another id, where the id is that of another
    payment, and where the money API says otherwise; UnreachableError where it gives no usable answer. Nothing is
    changed then; the calls are recorded.
    """
    _check(word)
    word = replace(word, sees=sees_members(connection))
    run = check_reconcilable(connection, word.campaign_id, Right.RECONCILE)
    read_from = boot_clock()
    row = _find(connection, run, word)
    read_until = boot_clock()
    if row.state == PaymentState.SUCCESS:
        return _settled_before(connection, row, word)
    _refuse_of_another(connection, row, word)
    if row.alive_s is not None:
        raise RefusedError("SETTLE_HELD", "settle_later", seconds=math.ceil(row.alive_s), **_facts(word))
    payment = _to_look_up(row, run, read_from=read_from, read_until=read_until)
    says = _MoneyApi(connection, database_url, settings, say).ask(run, payment, word)
    if isinstance(says, Refusal):
        _write_audit(connection, run, row, word, {"refused": says.code})
        raise RefusedError(_as_seen(says, word))
    return _record(connection, run, row, word, says)


def _as_seen(says: Refusal, word: Word) -> Refusal:
    """The money API's own word, which names a member where it has another credit under our key."""
    facts = dict(says.facts)
    if isinstance(facts.get("at_member"), str):
        facts["at_member"] = word.eyes.member(facts["at_member"])
    if isinstance(facts.get("at_money"), str):
        facts["at_money"] = word.eyes.text(facts["at_money"], word.member_id)
    return replace(says, facts=facts)


def _check(word: Word) -> None:
    if not is_transaction_id(word.transaction_id):
        shown = quoted(word.transaction_id, VALUE_CHARACTERS_SHOWN)
        raise UsageError("TRANSACTION_ID_WRONG", value=shown, characters_max=TRANSACTION_ID_CHARACTERS_MAX)
    if not word.reason.strip():
        raise UsageError("REASON_EMPTY")
    if not (len(word.reason) <= REASON_CHARACTERS_MAX and word.reason.isprintable()):
        raise UsageError("LIMIT_REASON_TOO_LONG", characters_max=REASON_CHARACTERS_MAX)


def _facts(word: Word) -> dict[str, object]:
    return {"campaign_id": word.campaign_id, "member": quoted(word.eyes.member(word.member_id), VALUE_CHARACTERS_SHOWN)}


def _find(connection: Connection, run: EndedRun, word: Word) -> PaymentToSettle:
    row = find_payment_to_settle(connection, run, word.member_id)
    if row is None:
        raise RefusedError("PAYMENT_UNKNOWN", "find_payment", **_facts(word))
    return row


def _settled_before(connection: Connection, row: PaymentToSettle, word: Word) -> Settled:
    """The same word again is harmless; SUCCESS never changes its transaction id."""
    if row.transaction_id != word.transaction_id:
        ids = {"ours": word.eyes.optional(row.transaction_id, row.member_id), "named": word.transaction_id}
        raise RefusedError("PAYMENT_PAID_ALREADY", "look_before_settling", **ids, **_facts(word))
    by_hand = is_settled_by_hand(connection, word.campaign_id, row.seq)
    return Settled(word.campaign_id, word.eyes.member(row.member_id), row.amount, word.transaction_id, None, by_hand)


def _refuse_of_another(connection: Connection, row: PaymentToSettle, word: Word) -> None:
    own = PaymentNumber(word.campaign_id, row.seq)
    owner = other_owner_of_transaction(connection, word.transaction_id, own)
    if owner is not None:
        member = quoted(word.eyes.member(member_of_payment(connection, owner)), VALUE_CHARACTERS_SHOWN)
        other = {"named": word.transaction_id, "other_campaign": owner.campaign_id, "other_member": member}
        raise RefusedError("TRANSACTION_OF_ANOTHER", "look_before_settling", **other, **_facts(word))


def _to_look_up(row: PaymentToSettle, run: EndedRun, *, read_from: float, read_until: float) -> Payment:
    """For the call loop. A payment that was never sent is surely not under way: nothing of it can come in late."""
    first, last = row.since_first_sent_s, row.since_last_sent_s
    return Payment(
        row.seq,
        row.member_id,
        row.amount,
        "",  # a look-up has no reason
        idempotency_key(run.key_namespace, row.member_id),
        0,
        True,
        row.failure_code,
        None if first is None else read_from - first,
        -math.inf if last is None else read_until - last,
    )


@dataclass(frozen=True, slots=True)
class _MoneyApi:
    """Where one payment is looked up: the database of the limit, and what a call needs."""

    connection: Connection
    database_url: str
    settings: Settings
    say: Say

    def ask(self, run: EndedRun, payment: Payment, word: Word) -> MoneySays | Refusal:
        """What it says about our key. Every call is recorded, and counts against the limit."""
        connection, settings = self.connection, self._keep_promises(word.actor)
        terms = CallTerms.of(run.campaign_id, settings)
        ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=word.actor)
        allocate_first_shares(connection)
        name, promises = f"bulkpoint settle of campaign {run.campaign_id}", promises_of(settings)
        lease_terms = LeaseTerms(self.database_url, name, None, promises, settings.limit_counts_from)
        last = ""
        for number in range(1, TRIES_MAX + 1):
            with under_a_share(connection, terms, lease_terms) as calls:
                answered = calls.ask(payment, look_up=True)
            if answered.attempt is not None:
                apply_findings(connection, run, [answered.attempt], [])
            judged = judge_word(
                answered.answer,
                answered.verdict,
                transaction_id=word.transaction_id,
                failure_code=payment.failure_code,
                absence_proven_in_s=answered.absence_proven_in_s,
                facts=_facts(word),
            )
            if not isinstance(judged, AskAgain):
                return judged
            last, wait_s = judged.last, max(AGAIN_AFTER_S, judged.in_s)
            if number == TRIES_MAX or not (judged.found_nothing or wait_s <= settings.breaker_patience_s):
                break
            said = Refusal("SETTLE_TOO_EARLY" if judged.found_nothing else "SETTLE_AGAIN", {"seconds": wait_s})
            self.say(sentence(said))
            time.sleep(wait_s)
        raise UnreachableError("SETTLE_WITHOUT_ANSWER", "settle_when_money_answers", last=last, **_facts(word))

    def _keep_promises(self, actor: str) -> Settings:
        in_force = keep_promises(self.connection, self.settings, actor=actor)
        for remark in in_force.remarks:
            self.say(sentence(remark, timezone=self.settings.timezone))
        return apply_promises(in_force, self.settings)


def _record(connection: Connection, run: EndedRun, asked: PaymentToSettle, word: Word, says: MoneySays) -> Settled:
    """In one transaction with event and audit row, if nothing has happened to the payment meanwhile."""
    by_hand = says is not MoneySays.CREDITED
    with connection.transaction():
        keep_from_starting(connection, run.campaign_id)
        now = check_reconcilable(connection, run.campaign_id, Right.RECONCILE)
        row = _find(connection, now, word)
        if row.state == PaymentState.SUCCESS:
            return _settled_before(connection, row, word)
        if now != run or not row.is_as(asked):
            raise RefusedError("SETTLE_CHANGED", "settle_again", **_facts(word))
        if by_hand:  # another payment may have got it meanwhile, in another case
            _refuse_of_another(connection, row, word)
        if not apply_findings(connection, run, [], [Finding(row.seq, word.transaction_id)]):
            _refuse_of_another(connection, row, word)
            raise RefusedError("SETTLE_CHANGED", "settle_again", **_facts(word))
        if by_hand:
            note_settled_by_hand(
                connection,
                run,
                row,
                transaction_id=word.transaction_id,
                money_said=says,
                reason=word.reason,
                actor=word.actor,
            )
        correct_end(connection, run.campaign_id, run.run_id, actor=word.actor)
        _write_audit(connection, run, row, word, {"money_says": says, "by_hand": by_hand})
    return Settled(run.campaign_id, word.eyes.member(row.member_id), row.amount, word.transaction_id, says, by_hand)


def _write_audit(
    connection: Connection, run: EndedRun, row: PaymentToSettle, word: Word, what: dict[str, object]
) -> None:
    """The payment by its number: an audit row is for ever, and names no member."""
    before = row.state if row.failure_kind is None else row.failure_kind
    detail = {"payment": row.seq, "amount": row.amount, "transaction_id": word.transaction_id, "was": before}
    with connection.transaction():
        write_audit(
            connection,
            action="payment.settle",
            campaign_id=run.campaign_id,
            run_no=run.run_no,
            actor=word.actor,
            detail=detail | what | {"reason": word.reason},
        )
