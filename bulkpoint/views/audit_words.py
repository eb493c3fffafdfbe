"""A row of the audit log in words: what was done, and its detail; and the story of one campaign.

All words are in the language files, tables `audit`; here is which value goes into which of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.store.audit import AuditEvent
from bulkpoint.store.campaign import Campaign
from bulkpoint.text import escaped
from bulkpoint.views.end_reasons import reason_in
from bulkpoint.views.format import local_time
from bulkpoint.views.headline import warning
from bulkpoint.views.languages import phrase, words
from bulkpoint.views.reconcile import CLASSES

# The promises of the money API, each with a form that has the figure before and the one after.
_PROMISES = ("key_retention_h", "settle_s", "connect_timeout_s", "timeout_s")
# What is nested deeper is shown as "..."; --json has it all.
NESTED_MAX = 3


class _Detail:
    """The detail of a row: a function that puts a value into words takes it; what is left is shown as it is.

    Rows are written by several programs and versions: a value may be missing, or of another type than usual.
    """

    def __init__(self, detail: Any, timezone: str, language: str) -> None:
        self._left = dict(detail) if isinstance(detail, dict) else {"detail": detail}
        self._timezone = timezone
        self._language = language

    def say(self, form: str, **facts: str) -> str:
        """A form of the language, filled."""
        return phrase(self._language, f"audit.detail.{form}", **facts)

    def words(self, key: str, form: str | None = None) -> list[str]:
        """The value, put into `form`; nothing where there is none."""
        value = self._left.pop(key, None)
        if value in (None, "", [], {}):
            return []
        return [self._plain(value) if form is None else self.say(form, value=self._plain(value))]

    def number(self, key: str, noun: str) -> list[str]:
        """A count with its noun, of which there may be one: `1 point`, `3 points`."""
        value = self._left.pop(key, None)
        if value in (None, "", [], {}):
            return []
        form = "one" if value == 1 else "more"
        return [phrase(self._language, f"audit.nouns.{noun}.{form}", number=self._plain(value))]

    def run_kind(self) -> list[str]:
        """Which kind of run it is; one that this version does not know, as it is."""
        kind = self._left.pop("kind", None)
        if kind is None:
            return []
        is_said = self._language != "en" and kind in set(RunKind)  # English has the command line's own word
        value = phrase(self._language, f"run_kinds.{kind}") if is_said else self._plain(kind)
        return [self.say("run_of_kind", value=value)]

    def moment(self, key: str) -> list[str]:
        """A time in ISO format as people read it; anything else as it is."""
        value = self._left.pop(key, None)
        try:
            return [] if value is None else [local_time(datetime.fromisoformat(value), self._timezone)]
        except (TypeError, ValueError, OverflowError):
            return [self._plain(value)]

    def take_out(self, part: str, *, of: str) -> None:
        """Make the count `of` one without `part`, which it includes."""
        whole, included = self._left.get(of), self._left.get(part)
        if isinstance(whole, int) and isinstance(included, int):
            self._left[of] = whole - included

    def drop(self, *keys: str) -> None:
        """Remove what other words say already."""
        for key in keys:
            self._left.pop(key, None)

    def say_why_it_ended(self) -> None:
        """In another language than the one in which reasons are kept, where they are bulkpoint's own."""
        why = self._left.get("reason")
        if isinstance(why, str) and self._language != "en":
            self._left["reason"] = reason_in(self._language, why)

    def name_parts(self, key: str, table: str) -> None:
        """Give the parts of the value under `key` the names of a table of the language."""
        value, names = self._left.get(key), words(self._language)["audit"][table]
        if isinstance(value, dict):
            self._left[key] = {names.get(part, part): each for part, each in value.items()}

    def is_nothing(self, key: str) -> bool:
        """Whether the value is a count of 0, or false."""
        return self._left.get(key) == 0

    def flag(self, key: str, form: str) -> list[str]:
        """`form`, where the value is true."""
        return [self.say(form)] if self._left.pop(key, None) is True else []

    def lines_of(self, name: str, noun: str) -> list[str]:
        """`reversed 2 lines (30 points)`: a count and its points; nothing where both are zero."""
        keys = (f"{name}_{noun}s", f"{name}_points")
        if not any(self._left.get(key) for key in keys):
            self.drop(*keys)
            return []
        count, points = self.number(keys[0], noun), self.number(keys[1], "point")
        lines = " ".join([*count, *(f"({each})" for each in points)])
        return [phrase(self._language, f"audit.lines.{name}", lines=lines)]

    def rest(self) -> list[str]:
        """Everything that was not taken; the reason last."""
        reason = self.words("reason", "reason")
        others = [
            f"{escaped(key).replace('_', ' ')} {self._plain(value)}"
            for key, value in self._left.items()
            if value is not None
        ]
        return others + reason

    def _plain(self, value: Any, *, levels: int = NESTED_MAX) -> str:
        match value:
            case None | True | False:
                return "-" if value is None else self.say("yes" if value else "no")
            case int():
                return f"{value:,}"
            case list() | dict() if levels == 0:
                return "..."
            case list():
                return ", ".join(self._plain(element, levels=levels - 1) for element in value) or "-"
            case dict():
                return (
                    ", ".join(f"{escaped(key)} {self._plain(each, levels=levels - 1)}" for key, each in value.items())
                    or "-"
                )
            case _:
                return escaped(str(value))


def _create(detail: _Detail) -> list[str]:
    detail.name_parts("read_with", "read_with")
    totals = detail.number("expected_count", "target") + detail.number("expected_amount", "point")
    return [
        *detail.words("name", "quoted"),
        *([", ".join(totals)] if totals else []),
        *(detail.words("targets", "from_file") or [detail.say("loaded_by_others")]),
        *(detail.say("not_before", value=moment) for moment in detail.moment("not_before")),
        *detail.words("accepted", "accepted"),
        *detail.words("same_as", "same_as"),
        *detail.words("read_with", "read_with"),
    ]


def _approve(detail: _Detail) -> list[str]:
    totals = detail.number("count", "target") + detail.number("amount", "point")
    return [
        ", ".join(totals),
        *detail.words("digest", "digest"),
        *detail.words("creator", "created_by"),
        *detail.words("findings", "findings"),
    ]


def _begin(detail: _Detail) -> list[str]:
    detail.drop("kind")  # the action says it
    again = detail.number("retried", "failed_payment") + detail.number("retried_amount", "point")
    left = detail.number("open", "payment") + detail.number("open_amount", "point")
    totals = detail.number("target_count", "payment") + detail.number("target_amount", "point")
    whole = ", ".join(totals)
    return [
        *([detail.say("again", what=", ".join(again))] if again else []),
        *([detail.say("goes_on", what=", ".join(left))] if left else []),
        *([detail.say("of_all", what=whole) if again or left else whole] if totals else []),
        *detail.words("kinds", "of_kind"),
        *detail.words("code", "with_code"),
        *detail.flag("beyond_limit", "beyond_limit"),
        *detail.words("accepted", "accepted"),
        *detail.words("same_as", "same_as"),
        *_who_asked(detail),
    ]


def _end(detail: _Detail) -> list[str]:
    detail.say_why_it_ended()
    detail.take_out("unknown", of="failed")
    detail.take_out("unknown_amount", of="failed_amount")
    detail.take_out("processing", of="open")
    figures = []
    for name in ("success", "failed", "unknown"):
        left_out = name == "unknown" and detail.is_nothing(name)
        count = detail.words(name, name)
        points = [f"({points})" for points in detail.number(f"{name}_amount", "point")]
        if not left_out:
            figures.append(" ".join(count + points))
    figures += detail.words("open", "not_processed")
    if detail.is_nothing("processing"):
        detail.drop("processing")
    figures += detail.words("processing", "perhaps_sent")
    return [", ".join(figure for figure in figures if figure)]


def _call_back(detail: _Detail) -> list[str]:
    return [*detail.run_kind(), *_who_asked(detail)]


def _who_asked(detail: _Detail) -> list[str]:
    """Of a run that one program asks for and another makes."""
    asked = detail.words("asked_by", "asked_by") + detail.words("asked_login", "asked_login")
    return ["".join(asked)] if asked else []


def _ask(detail: _Detail) -> list[str]:
    return [
        *detail.run_kind(),
        *detail.flag("force", "force"),
        *detail.words("digest", "digest"),
        *detail.words("kinds", "of_kind"),
        *detail.words("code", "with_code"),
        *detail.flag("beyond_limit", "beyond_limit"),
        *detail.words("accept", "accepted"),
        *detail.words("same_as", "same_as"),
    ]


def _refuse(detail: _Detail) -> list[str]:
    return [*_call_back(detail), *detail.words("code", "refused")]


def _limit(detail: _Detail) -> list[str]:
    before, now = detail.words("tps_before"), detail.words("tps")
    until, afterwards = detail.moment("until"), detail.words("tps_afterwards", "tps_afterwards")
    changed = [
        detail.say("tps_from", before=before[0], value=value) if before else detail.say("tps_to", value=value)
        for value in now
    ]
    hold = " " + detail.say("on_hold") if now == ["0"] else ""
    return ["".join(changed) + hold, ", ".join([*(detail.say("until", value=value) for value in until), *afterwards])]


def _promises(detail: _Detail) -> list[str]:
    changes = []
    for name in _PROMISES:
        before, now = detail.words(f"{name}_before"), detail.words(name)
        if before:
            changes.append(detail.say(name, before=before[0], value="".join(now)))
    return changes


def _reconcile(detail: _Detail) -> list[str]:
    unfinished = [detail.say("unfinished")] if detail.is_nothing("finished") else []
    detail.drop("finished")
    return [
        *detail.words("by", "by"),
        *detail.words("file", "file"),
        *detail.words("looked_up", "looked_up"),
        *detail.words("payments", "payments"),
        *detail.words("credits", "credits"),
        *detail.words("credited", "credited"),
        *detail.words("not_credited", "not_credited"),
        *detail.words("unknown", "still_unknown"),
        *(part for name, noun in CLASSES for part in detail.lines_of(name, noun)),
        *detail.words("differences", "differences"),
        *detail.flag("partial", "partial"),
        *detail.flag("only_reported", "only_reported"),
        *detail.flag("dry_run", "dry_run"),
        *unfinished,
    ]


def _settle(detail: _Detail) -> list[str]:
    by_hand = detail.flag("by_hand", "by_hand")
    return [
        *by_hand,
        ", ".join(detail.words("payment", "payment") + detail.number("amount", "point")),
        *detail.words("transaction_id", "transaction"),
        *detail.words("was", "was"),
        *detail.words("money_says", "money_says"),
        *detail.words("refused", "refused"),
    ]


def _contract_trial(detail: _Detail) -> list[str]:
    return [
        " ".join([*detail.number("amount", "point"), *detail.words("member_id", "to_member")]),
        *detail.words("money_url", "at_url"),
        *detail.words("key", "under_key"),
    ]


def _export(detail: _Detail) -> list[str]:
    return [
        *detail.flag("audit_log", "audit_log"),
        *detail.number("rows", "row"),
        *detail.words("format", "as_format"),
        *detail.flag("failed_only", "failed_only"),
        *detail.words("file", "to_place"),
        *detail.flag("masked", "masked"),
    ]


def _archive(detail: _Detail) -> list[str]:
    size = detail.number("payments", "payment") + detail.number("amount", "point") + detail.number("attempts", "call")
    return [*detail.words("place", "to_place"), ", ".join(size), *detail.words("manifest_sha256", "manifest")]


def _remove_attempts(detail: _Detail) -> list[str]:
    return [*detail.number("attempts", "call"), *detail.words("days", "ended_days_ago")]


def _find(detail: _Detail) -> list[str]:
    return [
        *detail.words("member_sha256", "member_sha256"),
        *detail.number("rows", "row"),
        *detail.flag("masked", "masked"),
    ]


def _look(detail: _Detail) -> list[str]:
    return [
        *detail.words("file", "file"),
        *detail.number("rows", "row"),
        *detail.flag("masked", "masked"),
        *detail.words("digest", "digest"),
    ]


def _right(detail: _Detail) -> list[str]:
    return [" ".join(detail.words("login") + detail.words("right"))]


# How an action's detail reads. Others are shown as they are.
_WORDS: dict[str, Callable[[_Detail], list[str]]] = {
    "create": _create,
    "approve": _approve,
    "reject": lambda detail: detail.words("creator", "created_by"),
    "withdraw": lambda _: [],
    "start": _begin,
    "force": _who_asked,
    "resume": _begin,
    "retry": _begin,
    "stop": _end,
    "correct": _end,
    "stop.ask": lambda _: [],
    "acknowledge": lambda _: [],
    "archive": _archive,
    "attempts.remove": _remove_attempts,
    "run.ask": _ask,
    "run.refuse": _refuse,
    "call_back": _call_back,
    "complete": _end,
    "fail": _end,
    "tps.set": _limit,
    "money.set": _promises,
    "doctor.money": _contract_trial,
    "reconcile": _reconcile,
    "export": _export,
    "find": _find,
    "list": _look,
    "preview": _look,
    "payment.settle": _settle,
    "right.grant": _right,
    "right.revoke": _right,
}
ACTIONS = frozenset(_WORDS)


def action_words(action: str, language: str) -> str:
    """An action as a head or a choice says it; one that nobody knows yet as it is."""
    said: str = words(language)["audit"]["actions"].get(action, escaped(action))
    return said


def what(event: AuditEvent, timezone: str, language: str = "en") -> str:
    """The detail in words, the reason last; times of `timezone`."""
    detail = _Detail(event.detail, timezone, language)
    said = _WORDS[event.action](detail) if event.action in _WORDS else []
    return "; ".join(part for part in [*said, *detail.rest()] if part)


@dataclass(frozen=True)
class HistoryEntry:
    """One sentence of a campaign's story, and its audit row; None where other tables show it."""

    at: datetime
    sentence: str
    event: AuditEvent | None = None


def story_of(campaign: Campaign, events: list[AuditEvent], timezone: str, language: str = "en") -> list[HistoryEntry]:
    """What happened to a campaign, oldest first, from the rows of its history; times of `timezone`."""
    entries = [HistoryEntry(event.occurred_at, sentence(event, timezone, language), event) for event in events]
    if not any(event.action == "create" for event in events):
        past = phrase(language, "audit.happened.past", who=escaped(campaign.creator))
        entries.insert(0, HistoryEntry(campaign.created_at, past))
    if campaign.driver_is_gone and campaign.driver_until is not None:
        gone = phrase(language, "audit.happened.gone", campaign_id=campaign.campaign_id)
        entries.append(HistoryEntry(campaign.driver_until, gone))
    return entries


def sentence(event: AuditEvent, timezone: str, language: str = "en") -> str:
    """A row as one sentence about its campaign."""
    happened = words(language)["audit"]["happened"]
    form = happened[event.action] if event.action in ACTIONS & happened.keys() else happened["other"]
    if event.action == "reconcile" and isinstance(event.detail, dict) and event.detail.get("only_reported") is True:
        form = happened["compared"]  # it could change nothing, or was not to
    facts = {"who": escaped(event.actor), "run": event.run_no, "action": escaped(event.action)}
    said: str = form.format_map(facts)
    if came_to := _came_to(event, language):
        said += f" ({came_to})"
    detail = what(event, timezone, language)
    if not detail:
        return said
    only_a_reason = detail.startswith(phrase(language, "audit.detail.reason", value=""))
    return f"{said}; {detail}" if only_a_reason else f"{said}: {detail}"


_ENDS = {"complete": RunState.COMPLETED, "fail": RunState.FAILED, "stop": RunState.STOPPED}


def _came_to(event: AuditEvent, language: str) -> str | None:
    """What happened to the payments by a run's end, where its state alone would mislead."""
    state = _ENDS.get(event.action)
    counts = {name: event.detail.get(name) for name in ("success", "failed", "unknown", "open")} if state else {}
    if state is None or not all(type(count) is int for count in counts.values()):
        return None
    return warning(state, **counts, language=language)
