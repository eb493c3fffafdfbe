"""What Prometheus gets: exactly the names that are documented, in bounded number, without a person in them."""

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bulkpoint.campaigns import check
from bulkpoint.campaigns.metrics import read_metrics
from bulkpoint.cli.metrics import MODE
from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.metrics import SHOWN_CAMPAIGNS_MAX, SHOWN_DAYS
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment import Attempt
from bulkpoint.views.export import replacing
from bulkpoint.views.metrics import METRICS, exposition
from bulkpoint.views.metrics_docs import document
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.logins import member_of

KAFKA = {"BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
DAY_S = 86_400.0
# What programs outside rely on: a name or label here never changes.
CONTRACT = {
    "bulkpoint_campaigns": {"state"},
    "bulkpoint_campaign_payments": {"campaign_id", "state"},
    "bulkpoint_campaign_points": {"campaign_id", "state"},
    "bulkpoint_campaign_failed_payments": {"campaign_id", "kind"},
    "bulkpoint_limit_calls_per_second": set(),
    "bulkpoint_limit_effective_calls_per_second": set(),
    "bulkpoint_shares": {"condition"},
    "bulkpoint_money_calls_total": {"method", "outcome"},
    "bulkpoint_money_call_duration_seconds_bucket": {"le"},
    "bulkpoint_money_call_duration_seconds_count": set(),
    "bulkpoint_money_call_duration_seconds_sum": set(),
    "bulkpoint_driver_lease_expiry_timestamp_seconds": {"campaign_id"},
    "bulkpoint_outbox_events": {"state"},
    "bulkpoint_outbox_oldest_waiting_timestamp_seconds": set(),
    "bulkpoint_unknown_payments": set(),
    "bulkpoint_trouble": {"kind"},
    "bulkpoint_partitions": set(),
    "bulkpoint_lock_table_ratio": set(),
    "bulkpoint_build_info": {"version", "python_version"},
}
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: str) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(connection: Connection, **settings: str) -> Series:
    return series(exposition(read_metrics(connection, load_settings(settings))).decode())


def value(found: Series, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def each(found: Series, name: str, label: str, *values: str) -> list[float]:
    """The figures with these values of the label, in their order."""
    return [value(found, name, **{label: one}) for one in values]


def call(seq: int, outcome: str, *, took_s: float | None, method: str = "POST") -> Attempt:
    return Attempt(
        f"00000000-0000-7000-8000-{seq:012}", method, seq, 1e9, took_s and 1e9 + took_s, 200, outcome, None, None
    )


def test_the_names_and_labels_are_those_that_are_promised(connection: Connection, world: World) -> None:
    world.campaign(2).begun().paid(1)
    found: dict[str, set[str]] = {}
    for name, labels in scrape(connection, **KAFKA):
        assert found.setdefault(name, {label for label, _ in labels}) == {label for label, _ in labels}
    assert found == CONTRACT
    assert {metric.name for metric in METRICS} == {re.sub("_(bucket|count|sum)$", "", name) for name in CONTRACT}


def test_a_scrape_says_what_the_database_says(connection: Connection, world: World) -> None:
    ended = world.campaign(5, amount=10).begun().paid(2).failed(1).failed(1, kind="UNKNOWN").paid(1).ended("COMPLETED")
    world.campaign(1)
    world.campaign(1).withdrawn()
    running = world.campaign(3, amount=7).begun().paid(1)
    found = scrape(connection)
    assert each(found, "bulkpoint_campaigns", "state", "WAITING", "RUNNING", "COMPLETED", "WITHDRAWN") == [1, 1, 1, 1]
    payments = {
        state: value(found, "bulkpoint_campaign_payments", campaign_id=str(ended.id), state=state)
        for state in ("PENDING", "PROCESSING", "SUCCESS", "FAILED")
    }
    assert payments == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 3, "FAILED": 2}
    assert value(found, "bulkpoint_campaign_points", campaign_id=str(ended.id), state="SUCCESS") == 30
    assert value(found, "bulkpoint_campaign_failed_payments", campaign_id=str(ended.id), kind="UNKNOWN") == 1
    assert value(found, "bulkpoint_campaign_failed_payments", campaign_id=str(ended.id), kind="REJECTED") == 1
    assert value(found, "bulkpoint_campaign_points", campaign_id=str(running.id), state="PENDING") == 14
    assert value(found, "bulkpoint_unknown_payments") == 1
    assert value(found, "bulkpoint_trouble", kind="UNKNOWN_LEFT") == 1
    assert value(found, "bulkpoint_trouble", kind="DRIVER_GONE") == 0
    assert value(found, "bulkpoint_partitions") == 4
    assert 0 < value(found, "bulkpoint_lock_table_ratio") < 1
    leases = [labels for name, labels in found if name == "bulkpoint_driver_lease_expiry_timestamp_seconds"]
    assert leases == [(("campaign_id", str(running.id)),)]


def test_calls_are_counted_by_method_and_outcome_and_those_that_never_occurred_are_0(
    connection: Connection, world: World
) -> None:
    world.campaign(3).begun().attempted(
        call(1, "CREDITED", took_s=0.06), call(2, "LOST", took_s=None), call(3, "FOUND", took_s=3.0, method="GET")
    )
    found = scrape(connection)
    assert value(found, "bulkpoint_money_calls_total", method="POST", outcome="CREDITED") == 1
    assert value(found, "bulkpoint_money_calls_total", method="POST", outcome="LOST") == 1
    assert value(found, "bulkpoint_money_calls_total", method="GET", outcome="FOUND") == 1
    assert value(found, "bulkpoint_money_calls_total", method="POST", outcome="TIMED_OUT") == 0
    name = "bulkpoint_money_call_duration_seconds"
    up_to = {bound: value(found, f"{name}_bucket", le=str(bound)) for bound in DURATION_BOUNDS_S}
    assert (up_to[0.05], up_to[0.075], up_to[2.5], up_to[5.0]) == (0, 1, 1, 2)
    assert value(found, f"{name}_bucket", le="+Inf") == value(found, f"{name}_count") == 2
    assert value(found, f"{name}_sum") == pytest.approx(3.06)


def test_what_the_money_api_lets_through_is_less_than_the_limit(connection: Connection, world: World) -> None:
    running = world.campaign(3).begun()
    assert value(scrape(connection), "bulkpoint_limit_effective_calls_per_second") == 100
    slowed, probing = running.share(), running.share()
    connection.execute("update money_share set pressure = '{\"rate\": 12.5}' where share = %s", (slowed.share,))
    connection.execute(
        'update money_share set pressure = \'{"rate": 30, "open_since": 1}\' where share = %s', (probing.share,)
    )
    found = scrape(connection)
    assert value(found, "bulkpoint_limit_calls_per_second") == 100
    assert value(found, "bulkpoint_limit_effective_calls_per_second") == 12.5
    assert each(found, "bulkpoint_shares", "condition", "FREE", "WORKING", "SLOWED", "PROBING") == [0, 0, 1, 1]


def test_without_kafka_nothing_waits_for_it(connection: Connection, world: World) -> None:
    world.campaign(1).begun()
    assert not [name for name, _ in scrape(connection) if name.startswith("bulkpoint_outbox")]
    found = scrape(connection, **KAFKA)
    assert value(found, "bulkpoint_outbox_events", state="waiting") > 0
    assert value(found, "bulkpoint_outbox_oldest_waiting_timestamp_seconds") > 1.7e9
    connection.execute("update outbox_event set published_at = now()")
    found = scrape(connection, **KAFKA)
    assert value(found, "bulkpoint_outbox_events", state="waiting") == 0
    assert ("bulkpoint_outbox_oldest_waiting_timestamp_seconds", ()) not in found


def test_only_campaigns_of_these_days_are_named_and_no_more_than_the_bound(
    connection: Connection, world: World
) -> None:
    old = world.campaign(1).begun().ended("COMPLETED").was_finished(seconds_ago=(SHOWN_DAYS + 1) * DAY_S)
    world.campaign(1)
    young = world.campaign(1).begun().ended("COMPLETED").was_finished(seconds_ago=(SHOWN_DAYS - 1) * DAY_S)
    running = world.campaign(1).begun().was_started(seconds_ago=30 * DAY_S)
    assert named(scrape(connection)) == {str(young.id), str(running.id)}
    assert str(old.id) not in named(scrape(connection))
    connection.execute(
        "insert into campaign_run (campaign_id, run_no, kind, state, actor, driver_holder, driver_until, started_at,"
        " finished_at) select %s, 1 + n, 'RETRY', 'COMPLETED', 'x', gen_random_uuid(), now(), now(), now()"
        " from generate_series(1, 5) n",
        (old.id,),
    )
    assert str(old.id) in named(scrape(connection)), "a run of these days names it again"
    connection.execute(
        "with made as (insert into campaign (name, expected_count, expected_amount, creator)"
        " select 'c', 1, 1, 'x' from generate_series(1, %s) returning campaign_id), begun as (insert into campaign_run"
        " (campaign_id, run_no, kind, state, actor, driver_holder, driver_until, finished_at) select campaign_id, 1,"
        " 'INITIAL', 'COMPLETED', 'x', gen_random_uuid(), now(), now() from made)"
        " insert into campaign_counter (campaign_id, share, state, count, amount)"
        " select campaign_id, 0, 'SUCCESS', 1, 1 from made",
        (SHOWN_CAMPAIGNS_MAX + 50,),
    )
    shown = named(scrape(connection))
    assert len(shown) == SHOWN_CAMPAIGNS_MAX
    assert str(running.id) in shown, "the one that runs is always named"


def named(found: Series) -> set[str]:
    """The campaigns that series are labelled with."""
    return {text for _, labels in found for label, text in labels if label == "campaign_id"}


def test_no_member_login_or_reason_is_in_a_scrape(connection: Connection, world: World) -> None:
    campaign = world.campaign([("MEMBER-7", 5, "REASON-8")], name="NAME-9", note="NOTE-10").begun(actor="ACTOR-11")
    campaign.failed(1, kind="UNKNOWN", code="CODE-12", failure_message="MESSAGE-13")
    connection.execute("update money_limit set reason = 'REASON-14', set_by = 'ACTOR-15'")
    campaign.ended("FAILED", "REASON-16")
    text = exposition(read_metrics(connection, load_settings(KAFKA))).decode()
    assert not re.findall(r"\b(?:MEMBER|REASON|NAME|NOTE|ACTOR|CODE|MESSAGE)-\d+", text)
    allowed = set().union(*CONTRACT.values())
    assert {label for _, labels in series(text) for label, _ in labels} <= allowed


@pytest.mark.parametrize("group", ["bulkpoint_reader", "bulkpoint_relay", "bulkpoint_operator"])
def test_logins_of_least_privilege_may_read_the_figures(
    connection: Connection, database_url: str, world: World, group: str
) -> None:
    world.campaign(2).begun().paid(1).failed(1, kind="UNKNOWN").ended("COMPLETED")
    make_roles(database_url)
    mine = scrape(connection, **KAFKA)
    with member_of(connection, database_url, group) as theirs:
        found = scrape(theirs, **KAFKA)
    changing = {"bulkpoint_lock_table_ratio"}
    assert {key: number for key, number in found.items() if key[0] not in changing} == {
        key: number for key, number in mine.items() if key[0] not in changing
    }


def test_a_scrape_changes_nothing_and_counts_no_target(
    connection: Connection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.campaign(3, expected=(9, 9), not_before=world.ago(DAY_S)).created_by("alice")
    connection.execute("update campaign set created_at = now() - interval '1 day'")
    monkeypatch.setattr(check, "total_targets", None)
    with connection.transaction():
        connection.execute("set transaction read only")
    assert value(scrape(connection), "bulkpoint_trouble", kind="OVERDUE") == 1


# The textfile collector


def test_the_file_is_replaced_whole_and_everybody_may_read_it(bulkpoint: CommandLine, world: World) -> None:
    world.campaign(1).begun()
    file = bulkpoint.folder / "bulkpoint.prom"
    file.write_text("old")
    file.chmod(0o600)
    said = bulkpoint.succeed("metrics", "--out", str(file))
    assert (said.stdout, said.stderr) == ("", f"wrote {file}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert value(series(file.read_text()), "bulkpoint_campaigns", state="RUNNING") == 1
    assert sorted(bulkpoint.folder.glob("bulkpoint.prom*")) == [file], "nothing is left beside it"


def test_everybody_may_read_it_whatever_the_account_gives_new_files(tmp_path: Path) -> None:
    file = tmp_path / "bulkpoint.prom"
    usual = os.umask(0o077)
    try:
        with replacing(file, mode=MODE) as stream:
            stream.write(b"new")
    finally:
        os.umask(usual)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_without_the_database_the_old_file_stays(bulkpoint: CommandLine) -> None:
    file = bulkpoint.folder / "bulkpoint.prom"
    file.write_text("old")
    ended = bulkpoint("metrics", "--out", str(file), BULKPOINT_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert ended.returncode == 6
    assert file.read_text() == "old"


def test_stdout_has_the_text_and_nothing_else(bulkpoint: CommandLine) -> None:
    said = bulkpoint.succeed("metrics")
    assert said.stdout.startswith("# HELP bulkpoint_campaigns Campaigns by the state that each shows.\n")
    assert set(CONTRACT) >= {name for name, _ in series(said.stdout)}
    assert said.stderr == ""


# Alerts and dashboard name only what is there

PROJECT = Path(__file__).parents[2]
ALERTS = PROJECT / "conf/examples/prometheus/alerts.yaml"
ALERTS_TEST = PROJECT / "conf/examples/prometheus/alerts_test.yaml"
DASHBOARD = PROJECT / "conf/examples/grafana/bulkpoint.json"
SELECTOR = re.compile(r"\b(bulkpoint_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def expressions(file: Path) -> list[str]:
    if file == DASHBOARD:
        return list(_found_in(json.loads(file.read_text()), {"expr", "definition"}))
    text = re.sub(r"expr: >-\n\s+", "expr: ", file.read_text())
    return [line for line in text.splitlines() if not line.lstrip().startswith("#") and "bulkpoint_" in line]


def _found_in(value: Any, names: set[str]) -> Iterator[str]:
    """Every text under one of these names, however deep."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        yield from (text for name, text in value.items() if name in names and isinstance(text, str))
    for each in inner:
        yield from _found_in(each, names)


@pytest.mark.parametrize("file", [ALERTS, ALERTS_TEST, DASHBOARD], ids=lambda file: file.name)
def test_every_name_label_and_value_of_alerts_and_dashboard_is_one_that_a_scrape_has(
    connection: Connection, world: World, file: Path
) -> None:
    world.campaign(2).begun().paid(1)
    emitted = scrape(connection, **KAFKA)
    values: dict[tuple[str, str], set[str]] = {}
    for name, labels in emitted:
        for label, text in labels:
            values.setdefault((name, label), set()).add(text)
    free = {"campaign_id", "version", "python_version"}
    seen = 0
    for expression in expressions(file):
        for name, matchers in SELECTOR.findall(expression):
            assert name in CONTRACT, f"{name}: no series has this name: {expression}"
            for label, operator, text in MATCHER.findall(matchers):
                assert label in CONTRACT[name], f"{name} has no label {label}: {expression}"
                seen += 1
                if label not in free:
                    wanted = text.split("|") if "~" in operator else [text]
                    assert set(wanted) <= values[name, label], expression
        grouped = {label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in group.split(", ")}
        assert grouped - {""} <= set().union(*CONTRACT.values()), expression
    assert seen > 5


def test_every_figure_but_one_has_a_panel_or_an_alert() -> None:
    """That no figure was forgotten; bulkpoint_campaigns and others may be in both."""
    used = {name for file in (ALERTS, DASHBOARD) for text in expressions(file) for name, _ in SELECTOR.findall(text)}
    histogram = {name for name in CONTRACT if name.endswith(("_sum", "_count"))}
    assert CONTRACT.keys() - used == histogram


def test_alerts_point_to_sections_of_the_runbook_that_are_there() -> None:
    headings = re.findall(r"^#+ (.*)$", (PROJECT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"runbook_url: docs/runbook\.md#(\S+)", ALERTS.read_text())
    assert len(linked) == ALERTS.read_text().count("- alert:")
    assert set(linked) <= anchors
    for part in ("summary:", "description:"):
        assert ALERTS.read_text().count(part) == len(linked), part


def test_the_document_is_that_of_the_code() -> None:
    assert (PROJECT / "docs/metrics.md").read_text() == document(), "run `make docs`"
