"""Progress of a run: figures from samples, then a line, an object or a live display of them.

Knows neither the database nor the job: the caller has the samples.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self, TextIO

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.patience import MONEY_WAITS
from bulkpoint.rules.time_left import WINDOW_S, Figure, seconds_left
from bulkpoint.store.progress import Sample
from bulkpoint.text import escaped
from bulkpoint.views.format import duration, local_time, standing_words
from bulkpoint.views.headline import warning
from bulkpoint.views.languages import phrase
from bulkpoint.views.view import Moment, View
from bulkpoint.views.waiting import WaitingView, waiting_words

if TYPE_CHECKING:
    from rich.console import RenderableType

# Long enough to be steady, short enough to show a change of the limit during a watch.
RATE_WINDOW = timedelta(seconds=10)
LEFT_WINDOW = timedelta(seconds=WINDOW_S)


@dataclass(frozen=True)
class Progress:
    """A sample with what follows from the ones before: payments a second, and seconds left (rules.time_left)."""

    sample: Sample
    rate: float | None
    left_s: float | None


class Ticker:
    """Turns samples into progress: a rate of the last ten seconds, and the time left by those of the last minute."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def tick(self, sample: Sample) -> Progress:
        """The progress by this sample; rate and time left are None until there are two samples of a run."""
        if self._samples and self._samples[-1].run_no != sample.run_no:
            self._samples.clear()
        self._samples.append(sample)
        while self._samples[0].at < sample.at - LEFT_WINDOW:
            self._samples.popleft()
        earlier = [each for each in self._samples if each.at <= sample.at - RATE_WINDOW]
        first = earlier[-1] if earlier else self._samples[0]
        elapsed_s = (sample.at - first.at).total_seconds()
        if elapsed_s <= 0:
            return Progress(sample, None, None)
        rate = max(0.0, (sample.done - first.done) / elapsed_s)  # a retry takes rows back
        return Progress(sample, rate, self._left_s(sample) if rate > 0 else None)

    def _left_s(self, sample: Sample) -> float | None:
        if sample.state != CampaignState.RUNNING or sample.stopping or sample.out_since is not None:
            return None
        figures = [Figure(each.at.timestamp(), each.done, each.tps) for each in self._samples]
        return seconds_left(figures, sample.total - sample.done, done_before=sample.done_before)


def notes(progress: Progress, timezone: str, deadline: datetime | None = None, language: str = "en") -> list[str]:
    """What pauses or throttles the run, and a deadline that will be missed: for the line below the figures."""
    lines = [*_limit_notes(progress.sample, timezone, language), *_trouble_notes(progress.sample, timezone, language)]
    lines = [*_end_notes(progress.sample, language)] or lines
    lines = lines or _waiting_notes(progress, timezone, language)
    if deadline is not None and progress.left_s is not None:
        late_s = progress.left_s - (deadline - progress.sample.at).total_seconds()
        if late_s > 0:
            at = local_time(deadline, timezone)
            lines.append(phrase(language, "progress.late", late=duration(late_s, language), deadline=at))
    return lines


def _end_notes(sample: Sample, language: str) -> list[str]:
    """What happened, once the run has ended, where its state alone would mislead."""
    counts = {"success": sample.success, "failed": sample.failed, "unknown": sample.unknown}
    said = warning(sample.state, **counts, open=sample.total - sample.done, language=language)
    return [] if said is None else [said]


def _limit_notes(sample: Sample, timezone: str, language: str) -> list[str]:
    if sample.tps is None or (sample.tps > 0 and sample.tps_until is None):
        return []
    until = why = ""
    if sample.tps_until is not None:
        until = phrase(language, "progress.until", until=local_time(sample.tps_until, timezone))
    if sample.tps_reason:
        why = phrase(language, "progress.why", why=escaped(sample.tps_reason))
    return [
        phrase(language, f"progress.{'limited' if sample.tps else 'on_hold'}", tps=sample.tps, until=until, why=why)
    ]


def _trouble_notes(sample: Sample, timezone: str, language: str) -> list[str]:
    if sample.driver_is_gone:
        return [phrase(language, "progress.driver_gone")]
    if sample.waiting is not None and sample.waiting.what in MONEY_WAITS:
        return [waiting_words(sample.waiting, language=language, timezone=timezone)]
    if sample.out_since is not None:
        out_s = max(0.0, (sample.at - sample.out_since).total_seconds())
        return [phrase(language, "progress.money_out", out=duration(out_s, language))]
    if sample.slowed_to is not None and sample.tps is not None and sample.slowed_to < sample.tps:
        return [phrase(language, "progress.slowed", slowed_to=sample.slowed_to)]
    return []


def _waiting_notes(progress: Progress, timezone: str, language: str) -> list[str]:
    """Why nothing happens, where neither the limit nor the money API is the cause."""
    sample = progress.sample
    if sample.stopping:
        return [phrase(language, "progress.stopping")]
    if sample.state != CampaignState.RUNNING or progress.rate or progress.rate is None or sample.tps == 0:
        return []
    if sample.waiting is not None:
        return [waiting_words(sample.waiting, language=language, timezone=timezone)]
    if sample.done <= sample.done_before:
        return [phrase(language, "waiting.FIRST_ANSWERS")]
    return [phrase(language, "progress.next_try", open=sample.total - sample.done)]


def progress_line(progress: Progress, timezone: str, deadline: datetime | None = None) -> str:
    """One line, for a log or where there is no terminal."""
    sample = progress.sample
    parts = [
        local_time(sample.at, timezone),
        standing_words(sample.state, stopping=sample.stopping),
        f"{sample.done:,}/{sample.total:,} ({_percent(sample):.1f} %)",
        f"success {sample.success:,}",
        _failed_words(sample),
        _rate_words(progress),
    ]
    if left := _left_words(progress):
        parts.append(left)
    return "  ".join([*parts, *notes(progress, timezone, deadline)])


class ProgressView(View):
    """How far a campaign is. FAILED includes UNKNOWN; rate: payments that end a second; left_s: seconds at the
    pace of the last minute.

    tps: the limit; slowed_to: what the money API lets through of it; money_out_since: when it ceased to answer.
    waiting: what the run waits for, null while payments are paid.
    """

    printed_by = ("campaign watch",)

    campaign_id: int
    run: int | None
    state: CampaignState
    at: Moment
    total: int
    done: int
    success: int
    failed: int
    unknown: int
    processing: int
    rate: float | None
    tps: int | None
    slowed_to: int | None
    money_out_since: Moment | None
    left_s: float | None
    waiting: WaitingView | None

    @classmethod
    def of(cls, progress: Progress, campaign_id: int, *, timezone: str = "UTC") -> Self:
        """One line of `campaign watch --json`."""
        sample = progress.sample
        return cls.model_validate(
            {
                **vars(sample),
                "campaign_id": campaign_id,
                "run": sample.run_no,
                "done": sample.done,
                "rate": None if progress.rate is None else round(progress.rate, 1),
                "money_out_since": sample.out_since,
                "left_s": None if progress.left_s is None else round(progress.left_s, 1),
                "waiting": None if sample.waiting is None else WaitingView.of(sample.waiting, timezone=timezone),
            }
        )


def show_progress(
    samples: Iterable[Sample],
    *,
    campaign_id: int,
    name: str,
    timezone: str,
    every_s: float,
    stream: TextIO,
    as_json: bool = False,
    deadline: datetime | None = None,
) -> Sample | None:
    """Show samples as they come, and return the last one.

    On a terminal a live display; elsewhere, and with `as_json`, one line every `every_s` seconds of the samples' own
    time, the first and the last one always.
    """
    if not as_json and stream.isatty():
        title = f"Campaign {campaign_id}  {name}"
        return _show_live(samples, title=title, timezone=timezone, stream=stream, deadline=deadline)

    def show(progress: Progress) -> None:
        as_line = ProgressView.of(progress, campaign_id, timezone=timezone).as_json() if as_json else None
        print(as_line or progress_line(progress, timezone, deadline), file=stream, flush=True)

    ticker = Ticker()
    sample = shown = None
    for sample in samples:
        progress = ticker.tick(sample)
        if shown is None or sample.state != shown.state or sample.at - shown.at >= timedelta(seconds=every_s):
            show(progress)
            shown = sample
    if sample is not None and sample is not shown:
        show(progress)
    return sample


def _show_live(
    samples: Iterable[Sample], *, title: str, timezone: str, stream: TextIO, deadline: datetime | None
) -> Sample | None:
    from rich.console import Console
    from rich.live import Live

    ticker = Ticker()
    last = None
    with Live(console=Console(file=stream), auto_refresh=False) as live:
        for last in samples:
            live.update(live_display(ticker.tick(last), title, timezone, deadline), refresh=True)
    return last


def live_display(progress: Progress, title: str, timezone: str, deadline: datetime | None = None) -> "RenderableType":
    """What a terminal shows, drawn again for each sample."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    sample = progress.sample
    colour = {"RUNNING": "cyan", "COMPLETED": "green", "STOPPED": "yellow"}.get(sample.state, "red")
    bar = Table.grid(padding=(0, 1), expand=False)
    bar.add_row(
        ProgressBar(
            total=max(sample.total, 1), completed=sample.done, width=48, complete_style=colour, finished_style=colour
        ),
        f"{_percent(sample):5.1f} %",
        f"{sample.done:,} of {sample.total:,}",
    )
    figures = Text.assemble(
        ("success ", "dim"), (f"{sample.success:,}", "green"), "   ",
        (_failed_words(sample), "red" if sample.failed else "dim"), "   ",
        _rate_words(progress),
    )  # fmt: skip
    figures.append(f"   {_left_words(progress)}")
    heading = Text.assemble((title, "bold"), "   ", (standing_words(sample.state, stopping=sample.stopping), colour))
    return Group(heading, bar, figures, *(Text(note, style="yellow") for note in notes(progress, timezone, deadline)))


def _percent(sample: Sample) -> float:
    """Rounded down: 100.0 only when all is done."""
    return math.floor(1_000 * sample.done / sample.total) / 10 if sample.total else 0.0


def _failed_words(sample: Sample) -> str:
    return f"failed {sample.not_paid:,}" + (f"  unknown {sample.unknown:,}" if sample.unknown else "")


def _left_words(progress: Progress) -> str:
    if progress.left_s is None or progress.left_s < 1 or progress.sample.state != CampaignState.RUNNING:
        return ""
    return f"{duration(progress.left_s)} left"


def _rate_words(progress: Progress) -> str:
    limit = "" if progress.sample.tps is None else f" of {progress.sample.tps:,}"
    return f"{progress.rate or 0:,.0f}{limit} TPS"
