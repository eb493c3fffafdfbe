"""A row of the audit log in words: what was done, and its detail; and the story of one campaign."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.audit import AuditEvent
from bulkpoint.store.campaign import Campaign
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.headline import warning
from bulkpoint.views.reconcile import CLASSES

# How a promise of the money API reads.
_PROMISES = {
    "key_retention_h": "to {} h for which it remembers keys",
    "settle_s": "to {} s of settle time",
    "connect_timeout_s": "to {} s for a connection",
    "timeout_s": "to {} s for a call",
}
# What is nested deeper is shown as "..."; --json has it all.
NESTED_MAX = 3


class _Detail:
    """The detail of a row: a function that puts a value into words takes it; what is left is shown as it is.

    Rows are written by several programs and versions: a value may be missing, or of another type than usual.
    """

    def __init__(self, detail: Any, timezone: str) -> None:
        self._left = dict(detail) if isinstance(detail, dict) else {"detail": detail}
        self._timezone = timezone

    def words(self, key: str, form: str = "{}") -> list[str]:
        """The value, put into `form`; nothing where there is none."""
        value = self._left.pop(key, None)
        return [] if value in (None, "", [], {}) else [form.format(_plain(value))]

    def number(self, key: str, noun: str) -> list[str]:
        """A count with its noun, of which there may be one: `1 point`, `3 points`."""
        one = self._left.get(key) == 1
        return self.words(key, "{} " + (noun if one else f"{noun}s"))

    def moment(self, key: str, form: str) -> list[str]:
        """The same for a time in ISO format."""
        value = self._left.pop(key, None)
        try:
            return [] if value is None else [form.format(local_time(datetime.fromisoformat(value), self._timezone))]
        except (TypeError, ValueError, OverflowError):
            return [form.format(_plain(value))]

    def take_out(self, part: str, *, of: str) -> None:
        """Make the count `of` one without `part`, which it includes."""
        whole, included = self._left.get(of), self._left.get(part)
        if isinstance(whole, int) and isinstance(included, int):
            self._left[of] = whole - included

    def drop(self, *keys: str) -> None:
        """Remove what other words say already."""
        for key in keys:
            self._left.pop(key, None)

    def flag(self, key: str, form: str) -> list[str]:
        """`form`, where the value is true."""
        return [form] if self._left.pop(key, None) is True else []

    def lines_of(self, name: str, noun: str) -> list[str]:
        """`reversed 2 lines (30 points)`: a count and its points; nothing where both are zero."""
        keys = (f"{name}_{noun}s", f"{name}_points")
        if not any(self._left.get(key) for key in keys):
            self.drop(*keys)
            return []
        count, points = self.number(keys[0], noun), self.number(keys[1], "point")
        return [" ".join([name.replace("_", " "), *count, *(f"({each})" for each in points)])]

    def rest(self) -> list[str]:
        """Everything that was not taken; the reason last."""
        reason = self.words("reason", "reason: {}")
        others = [
            f"{escaped(key).replace('_', ' ')} {_plain(value)}"
            for key, value in self._left.items()
            if value is not None
        ]
        return others + reason


def _plain(value: Any, *, levels: int = NESTED_MAX) -> str:
    match value:
        case None | True | False:
            return {None: "-", True: "yes", False: "no"}[value]
        case int():
            return f"{value:,}"
        case list() | dict() if levels == 0:
            return "..."
        case list():
            return ", ".join(_plain(element, levels=levels - 1) for element in value) or "-"
        case dict():
            return (
                ", ".join(f"{escaped(key)} {_plain(element, levels=levels - 1)}" for key, element in value.items())
                or "-"
            )
        case _:
            return escaped(str(value))


def _create(detail: _Detail) -> list[str]:
    totals = detail.number("expected_count", "target") + detail.number("expected_amount", "point")
    return [
        *detail.words("name", '"{}"'),
        *([", ".join(totals)] if totals else []),
        *(detail.words("targets", "from {}") or ["targets loaded by others"]),
        *detail.moment("not_before", "not before {}"),
        *detail.words("accepted", "accepted: {}"),
        *detail.words("same_as", "repeats the list of campaign {} on purpose"),
    ]


def _approve(detail: _Detail) -> list[str]:
    totals = detail.number("count", "target") + detail.number("amount", "point")
    return [", ".join(totals), *detail.words("digest", "digest {}"), *detail.words("creator", "created by {}")]


def _begin(detail: _Detail) -> list[str]:
    detail.drop("kind")  # the action says it
    again = detail.number("retried", "failed payment") + detail.number("retried_amount", "point")
    left = detail.number("open", "payment") + detail.number("open_amount", "point")
    totals = detail.number("target_count", "payment") + detail.number("target_amount", "point")
    of = "of " if again or left else ""
    return [
        *(["again " + ", ".join(again)] if again else []),
        *(["goes on with " + ", ".join(left)] if left else []),
        *([of + ", ".join(totals)] if totals else []),
        *detail.words("kinds", "of kind {}"),
        *detail.words("code", "with code {}"),
        *detail.flag("beyond_limit", "also those that had all their retries"),
        *detail.words("accepted", "accepted: {}"),
        *detail.words("same_as", "repeats the list of campaign {} on purpose"),
    ]


def _end(detail: _Detail) -> list[str]:
    detail.take_out("unknown", of="failed")
    detail.take_out("unknown_amount", of="failed_amount")
    detail.take_out("processing", of="open")
    figures = []
    for name in ("success", "failed", "unknown"):
        points = [f"({points})" for points in detail.number(f"{name}_amount", "point")]
        count = detail.words(name, f"{name} {{}}")
        if count != ["unknown 0"]:
            figures.append(" ".join(count + points))
    figures += detail.words("open", "not processed {}")
    figures += [sent for sent in detail.words("processing", "perhaps sent {}") if sent != "perhaps sent 0"]
    return [", ".join(figure for figure in figures if figure)]


def _call_back(detail: _Detail) -> list[str]:
    login = detail.words("asked_login", " (login {})")
    return [*detail.words("kind", "{} run"), "".join([*detail.words("asked_by", "asked for by {}"), *login])]


def _limit(detail: _Detail) -> list[str]:
    before, now = detail.words("tps_before", "from {} "), detail.words("tps", "to {} TPS")
    until, afterwards = detail.moment("until", "until {}"), detail.words("tps_afterwards", "then {} TPS")
    hold = " (on hold)" if now == ["to 0 TPS"] else ""
    return ["".join(before + now) + hold, ", ".join(until + afterwards)]


def _promises(detail: _Detail) -> list[str]:
    changes = []
    for name, form in _PROMISES.items():
        before, now = detail.words(f"{name}_before", "from {} "), detail.words(name, form)
        if before:
            changes.append("".join(before + now))
    return changes


def _reconcile(detail: _Detail) -> list[str]:
    unfinished = ["broken off before the end"] if detail.words("finished") == ["no"] else []
    return [
        *detail.words("by", "by {}"),
        *detail.words("file", "file {}"),
        *detail.words("looked_up", "looked up {}"),
        *detail.words("payments", "payments {}"),
        *detail.words("credits", "money's credits {}"),
        *detail.words("credited", "credited {}"),
        *detail.words("not_credited", "not credited {}"),
        *detail.words("unknown", "still unknown {}"),
        *(part for name, what in CLASSES for part in detail.lines_of(name, what)),
        *detail.words("differences", "differences: {}"),
        *detail.flag("partial", "one part of several"),
        *detail.flag("only_reported", "nothing changed"),
        *detail.flag("dry_run", "a dry run"),
        *unfinished,
    ]


def _settle(detail: _Detail) -> list[str]:
    by_hand = detail.flag("by_hand", "settled by hand")
    detail.drop("by_hand")
    return [
        *by_hand,
        ", ".join(detail.words("payment", "payment {}") + detail.number("amount", "point")),
        *detail.words("transaction_id", "transaction {}"),
        *detail.words("was", "was {}"),
        *detail.words("money_says", "money says {}"),
        *detail.words("refused", "refused: {}"),
    ]


def _contract_trial(detail: _Detail) -> list[str]:
    return [
        " ".join([*detail.number("amount", "point"), *detail.words("member_id", "to member {}")]),
        *detail.words("money_url", "at {}"),
        *detail.words("key", "under the key {}"),
    ]


def _export(detail: _Detail) -> list[str]:
    return [
        *detail.words("format", "as {}"),
        *detail.flag("failed_only", "only FAILED payments"),
        *detail.words("file", "to {}"),
    ]


def _archive(detail: _Detail) -> list[str]:
    size = detail.number("payments", "payment") + detail.number("amount", "point") + detail.number("attempts", "call")
    return [*detail.words("place", "to {}"), ", ".join(size), *detail.words("manifest_sha256", "manifest {}")]


def _find(detail: _Detail) -> list[str]:
    return [*detail.words("member_sha256", "the member whose SHA-256 is {}")]


def _right(detail: _Detail) -> list[str]:
    return [" ".join(detail.words("login") + detail.words("right"))]


# How an action's detail reads. Others are shown as they are.
_WORDS: dict[str, Callable[[_Detail], list[str]]] = {
    "create": _create,
    "approve": _approve,
    "withdraw": lambda _: [],
    "start": _begin,
    "force": lambda _: [],
    "resume": _begin,
    "retry": _begin,
    "stop": _end,
    "correct": _end,
    "stop.ask": lambda _: [],
    "acknowledge": lambda _: [],
    "archive": _archive,
    "attempts.remove": lambda detail: [
        *detail.number("attempts", "call"),
        *detail.words("days", "of a run that ended more than {} days ago"),
    ],
    "call_back": _call_back,
    "complete": _end,
    "fail": _end,
    "tps.set": _limit,
    "money.set": _promises,
    "doctor.money": _contract_trial,
    "reconcile": _reconcile,
    "export": _export,
    "find": _find,
    "payment.settle": _settle,
    "right.grant": _right,
    "right.revoke": _right,
}
ACTIONS = frozenset(_WORDS)


def what(event: AuditEvent, timezone: str) -> str:
    """The detail in words, the reason last; times of `timezone`."""
    detail = _Detail(event.detail, timezone)
    words = _WORDS[event.action](detail) if event.action in _WORDS else []
    return "; ".join(part for part in [*words, *detail.rest()] if part)


# How an action reads in a campaign's history; the detail follows.
_HAPPENED = {
    "create": "{who} created it",
    "approve": "{who} approved it",
    "withdraw": "{who} withdrew it",
    "start": "{who} started it, run {run}",
    "force": "{who} let it jump the queue",
    "stop.ask": "{who} asked to stop run {run}",
    "stop": "{who} stopped run {run}",
    "archive": "{who} archived it",
    "attempts.remove": "{who} removed its calls",
    "acknowledge": "{who} said that what run {run} left stays as it is",
    "call_back": "{who} called back a run that was asked for",
    "resume": "{who} resumed it, run {run}",
    "retry": "{who} had failed payments retried, run {run}",
    "complete": "run {run} completed",
    "correct": "the figures of run {run} are corrected by results known since its end",
    "fail": "run {run} failed",
    "tps.set": "{who} changed the limit",
    "money.set": "{who} changed what the money API promises",
    "reconcile": "{who} reconciled it with money",
    "export": "{who} exported its payments",
    "find": "{who} looked a member up",
    "payment.settle": "{who} asked to settle a payment",
}


_COMPARED = "{who} compared it with money"  # a reconciliation that could change nothing, or was not to


@dataclass(frozen=True)
class HistoryEntry:
    """One sentence of a campaign's story, and its audit row; None where other tables show it."""

    at: datetime
    sentence: str
    event: AuditEvent | None = None


def story_of(campaign: Campaign, events: list[AuditEvent], timezone: str) -> list[HistoryEntry]:
    """What happened to a campaign, oldest first, from the rows of its history; times of `timezone`."""
    entries = [HistoryEntry(event.occurred_at, sentence(event, timezone), event) for event in events]
    if not any(event.action == "create" for event in events):
        entries.insert(
            0,
            HistoryEntry(campaign.created_at, f"{escaped(campaign.creator)} created it, past bulkpoint: no audit row"),
        )
    if campaign.driver_is_gone and campaign.driver_until is not None:
        gone = f"its job is gone and nothing is paid: `bulkpoint campaign resume {campaign.campaign_id}` takes it over"
        entries.append(HistoryEntry(campaign.driver_until, gone))
    return entries


def sentence(event: AuditEvent, timezone: str) -> str:
    """A row as one sentence about its campaign."""
    happened = _HAPPENED.get(event.action, "{who}: {action}")
    if event.action == "reconcile" and isinstance(event.detail, dict) and event.detail.get("only_reported") is True:
        happened = _COMPARED
    said = happened.format(who=escaped(event.actor), run=event.run_no, action=escaped(event.action))
    if came_to := _came_to(event):
        said += f" ({came_to})"
    detail = what(event, timezone)
    if not detail:
        return said
    return f"{said}; {detail}" if detail.startswith("reason: ") else f"{said}: {detail}"


_ENDS = {"complete": RunState.COMPLETED, "fail": RunState.FAILED, "stop": RunState.STOPPED}


def _came_to(event: AuditEvent) -> str | None:
    """What happened to the payments by a run's end, where its state alone would mislead."""
    state = _ENDS.get(event.action)
    counts = {name: event.detail.get(name) for name in ("success", "failed", "unknown", "open")} if state else {}
    if state is None or not all(type(count) is int for count in counts.values()):
        return None
    return warning(state, **counts, language="en")
