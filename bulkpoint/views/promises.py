"""What the money API promises, as people and programs see it."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Self

from bulkpoint.settings import ShownSetting
from bulkpoint.store.promise import PromisesInForce
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, local_time
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import Moment, Screen, View

_HEADS = ("", "STORED", "SET HERE", "COUNTS HERE")


class PromiseView(View):
    """One value. stored: of the database, null before the first run; set_here: of this shell's settings.

    counts: what this process uses, the safer one of the two.
    """

    stored: float | None
    set_here: float
    counts: float


class PromisesView(View):
    """What the money API promises, and how long a call may take.

    key_retention_h: hours that it remembers an idempotency key. settle_s: seconds after a call until "not found" proves
    that nothing was credited. connect_timeout_s, timeout_s: seconds for a connection, for a whole call. set_by, set_at,
    reason: of the stored values, null before the first run.
    """

    printed_by = ("money show", "money set")

    key_retention_h: PromiseView
    settle_s: PromiseView
    connect_timeout_s: PromiseView
    timeout_s: PromiseView
    set_by: str | None
    set_at: Moment | None
    reason: str | None

    @classmethod
    def of(cls, found: PromisesInForce) -> Self:
        """The view of what is in force."""
        stored = found.stored
        before = {} if stored is None else asdict(stored.promises)
        here, counts = asdict(found.set_here), asdict(found.promises)
        values = {
            name: {"stored": before.get(name), "set_here": here[name], "counts": value}
            for name, value in counts.items()
        }
        who = {name: None if stored is None else getattr(stored, name) for name in ("set_by", "set_at", "reason")}
        return cls.model_validate(values | who)

    def as_text(self, screen: Screen) -> Iterable[str]:
        rows = [_HEADS]
        for name in ("key_retention_h", "settle_s", "connect_timeout_s", "timeout_s"):
            value, unit = getattr(self, name), name[-1]
            stored, here, counts = (_shown(each, unit) for each in (value.stored, value.set_here, value.counts))
            rows.append((phrase("en", f"promises.{name}"), stored, here, counts))
        yield from aligned(rows, left=("",))
        if self.set_at is not None:
            by, at = escaped(self.set_by or ""), local_time(self.set_at, screen.timezone)
            yield f"stored by {by}, {at}: {escaped(self.reason or '')}"
        else:
            yield "nothing is stored yet: the first run stores what is set"


def with_promises(shown: Iterable[ShownSetting], found: PromisesInForce | None) -> list[ShownSetting]:
    """The settings as they count: a promise that is stored, and safer than what is set here, is the database's."""
    if found is None or found.stored is None:
        return list(shown)
    stored, counts, here = asdict(found.stored.promises), asdict(found.promises), asdict(found.set_here)
    by_setting = {f"BULKPOINT_MONEY_{name.upper()}": name for name in counts}
    rows = []
    for setting in shown:
        name = by_setting.get(setting.name)
        if name is None:
            rows.append(setting)
        elif counts[name] == here[name] != stored[name]:
            rows.append(setting._replace(source=f"{setting.source}; the database has {stored[name]:g}"))
        else:
            also = "" if here[name] == stored[name] else f"; {setting.source} has {here[name]:g}"
            rows.append(setting._replace(value=f"{counts[name]:g}", source=f"database{also}"))
    return rows


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:g} {unit}"
