"""Growth: the same steps at 10,000 to 10,000,000 targets, and the same questions at 10 to 10,000 campaigns.

    python -m bench.growth [--targets 10000,100000] [--campaigns 10,1000,10000] [--without-pay] [--minutes 35]

Writes bench/results/growth.json, growth.md and growth.svg, again after every step: what was measured stays when a later
step fails or the time is over, and a size that is complete is not measured again (--afresh). Reports, asserts nothing.
The real command line, an embedded PostgreSQL and a sandbox of its own for each size, all on this machine. Disk: some
1.7 kB a target, and 5 GB.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Figure, figure, loop_s, machine, versions
from bench.growth_page import write_growth_page
from bench.growth_steps import NO_LIMIT_TPS, Growth, Measured, OutOfTimeError
from bench.many_campaigns import Asked, ManyCampaigns, ask, make_campaigns
from bulkpoint.embedded.postgres import embedded_postgres
from bulkpoint.settings import load_settings
from bulkpoint.store.migrate import migrate
from tests.world.deployment import embedded_deployment

RESULTS = Path(__file__).parent / "results"
DISK_BYTES_A_TARGET = 1_700
DISK_BYTES = 5_000_000_000
# Files of a campaign's partitions: twelve of 8 kB and more.
DISK_BYTES_A_CAMPAIGN = 200_000
CHANNEL = "C1"


@dataclass
class Found:
    """All that was measured, also by earlier calls. complete: sizes whose steps were all measured, by their key."""

    measured: list[Measured] = field(default_factory=list)
    campaigns: list[ManyCampaigns] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    complete: list[str] = field(default_factory=list)
    loops: list[float] = field(default_factory=lambda: [loop_s()])

    @classmethod
    def read(cls, path: Path) -> "Found":
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text(encoding="utf-8"))["kept"]
        many = [
            ManyCampaigns(
                each["campaigns"], [Asked(**one) for one in each["asked"]], [tuple(one) for one in each["figures"]]
            )
            for each in kept["campaigns"]
        ]
        return cls([Measured(**each) for each in kept["measured"]], many, kept["left_out"], kept["complete"])

    def forget(self, targets: int, steps: Sequence[str] = ()) -> None:
        """What an earlier call measured of this size, all of it or these steps."""
        self.measured = [
            each for each in self.measured if each.targets != targets or (steps and each.step not in steps)
        ]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {
            "machine": machine(self.loops),
            "versions": versions(),
            "figures": [asdict(each) for each in self.figures()],
            "kept": {
                "measured": [asdict(each) for each in self.measured],
                "campaigns": [asdict(each) for each in self.campaigns],
                "left_out": self.left_out,
                "complete": self.complete,
            },
        }
        text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        (folder / "growth.json").write_text(text, encoding="utf-8")
        write_growth_page(folder, found["machine"], self.measured, self.campaigns, self.left_out)

    def figures(self) -> list[Figure]:
        figures = []
        for one in self.measured:
            at = f"{one.step}, {one.targets:,} targets"
            figures.append(figure(at, "s", [one.seconds / one.looks]))
            figures.append(figure(f"{at}, a row", "us", [one.us_a_row]))
            for name, size in (("database", one.database_bytes), ("log", one.log_bytes), ("file", one.file_bytes)):
                if size:
                    figures.append(figure(f"{at}, {name}, a row", "bytes", [size / one.targets]))
            figures += [figure(f"{at}, peak memory, {part}", "bytes", [n]) for part, n in one.memory.items()]
        for many in self.campaigns:
            at = f"{many.campaigns:,} campaigns"
            figures += [figure(f"{each.name}, {at}", "ms", [each.again_ms]) for each in many.asked]
            figures += [figure(f"{each.name}, {at}, first of a session", "ms", [each.first_ms]) for each in many.asked]
            figures += [figure(f"{name}, {at}", unit, [value]) for name, unit, value in many.figures]
        return figures


@dataclass(frozen=True)
class Bounds:
    """Until when, by the monotonic clock, and in which folder."""

    ends_at: float
    folder: Path

    def seconds_left(self) -> float:
        return self.ends_at - time.monotonic()

    def has_room(self, needed_bytes: float) -> bool:
        return shutil.disk_usage(self.folder).free > needed_bytes


def say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)


def measure_targets(found: Found, targets: int, *, with_pay: bool, bounds: Bounds) -> None:
    """One size, step by step; what there is no time or room for is named."""
    needed = DISK_BYTES + targets * DISK_BYTES_A_TARGET
    if not bounds.has_room(needed):
        found.left_out.append(f"{targets:,} targets: {needed / 1e9:.0f} GB of disk are needed")
        say(found.left_out[-1])
        return
    folder = bounds.folder / f"targets-{targets}"
    with embedded_deployment(folder, "--latency-ms", "0", BULKPOINT_TPS=NO_LIMIT_TPS) as bench:
        growth = Growth(bench, targets, with_pay, bounds.seconds_left)
        for step, do in growth.steps().items():
            if (expected := _expected_s(found.measured, step, targets)) > bounds.seconds_left():
                found.left_out.append(f"{step}, {targets:,} targets: it takes about {expected:.0f} s")
                say(found.left_out[-1])
                return
            try:
                one = growth.measure(step, do)
            except (OutOfTimeError, RuntimeError) as error:
                found.left_out.append(f"{step}, {targets:,} targets: {type(error).__name__}: {error}")
                say(found.left_out[-1])
                if isinstance(error, OutOfTimeError):
                    return
                continue
            found.forget(targets, [step])
            found.measured.append(one)
            found.write(RESULTS)
            memory = ", ".join(f"{part} {size / 1e6:,.0f}" for part, size in sorted(one.memory.items()))
            say(f"{targets:,} {step}: {one.seconds / one.looks:.2f} s, {one.us_a_row:.2f} us a row; MB: {memory}")
    found.complete.append(f"targets {targets}")
    found.loops.append(loop_s())


def _expected_s(measured: Sequence[Measured], step: str, targets: int) -> float:
    """By the two largest sizes so far that are smaller: part of the time is that of the command's start."""
    smaller = sorted((each for each in measured if each.step == step and each.targets < targets), key=_size)[-2:]
    if len(smaller) < 2:
        return 0.0
    less, more = smaller
    a_row = max(0.0, (more.seconds - less.seconds) / (more.targets - less.targets))
    return more.seconds + a_row * (targets - more.targets)


def _size(measured: Measured) -> int:
    return measured.targets


def measure_campaigns(found: Found, count: int, bounds: Bounds) -> None:
    """One database with so many campaigns."""
    if not bounds.has_room(DISK_BYTES + count * DISK_BYTES_A_CAMPAIGN):
        found.left_out.append(f"{count:,} campaigns: no room")
        return
    folder = bounds.folder / f"campaigns-{count}"
    with embedded_postgres(folder) as database:
        os.environ["PGPASSFILE"] = str(database.passfile)
        migrate(database.url)
        make_campaigns(database.url, count, say)
        settings = load_settings({"BULKPOINT_SLACK_CHANNEL": CHANNEL, "BULKPOINT_DATABASE_URL": database.url})
        many = ask(database.url, count, settings)
    found.campaigns = [each for each in found.campaigns if each.campaigns != count] + [many]
    found.complete.append(f"campaigns {count}")
    found.loops.append(loop_s())
    for each in many.asked:
        say(f"{count:,} campaigns, {each.name}: {each.again_ms:.1f} ms, first {each.first_ms:.1f} ms")
    for name, unit, value in many.figures:
        say(f"{count:,} campaigns, {name}: {value:,.1f} {unit}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="", help="sizes, separated by commas")
    parser.add_argument("--campaigns", default="", help="numbers of campaigns in one database, separated by commas")
    parser.add_argument(
        "--without-pay", action="store_true", help="payments become SUCCESS by statements, not by calls"
    )
    parser.add_argument("--minutes", type=float, default=35.0, help="what would end later is left out, and named")
    parser.add_argument("--afresh", action="store_true", help="measure sizes again that are complete")
    arguments = parser.parse_args()
    found = Found.read(RESULTS / "growth.json")
    found.left_out = []
    with tempfile.TemporaryDirectory(prefix="bulkpoint-growth-") as name:
        Path(name).chmod(0o711)
        bounds = Bounds(time.monotonic() + 60 * arguments.minutes, Path(name))
        for count in _numbers(arguments.campaigns):
            if arguments.afresh or f"campaigns {count}" not in found.complete:
                measure_campaigns(found, count, bounds)
                found.write(RESULTS)
        for count in _numbers(arguments.targets):
            if arguments.afresh or f"targets {count}" not in found.complete:
                measure_targets(found, count, with_pay=not arguments.without_pay, bounds=bounds)
                found.write(RESULTS)
                shutil.rmtree(bounds.folder / f"targets-{count}", ignore_errors=True)
    print(f"written: {RESULTS / 'growth.json'}, {RESULTS / 'growth.md'}")


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",") if word]


if __name__ == "__main__":
    main()
