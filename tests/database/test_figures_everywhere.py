"""Whoever looks, wherever, hears the same figures: after a stop with calls under way, and after a late answer."""

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from python_calamine import CalamineWorkbook

from bulkpoint.campaigns.check import find_troubles
from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.stop import ask_to_stop, end_if_settled
from bulkpoint.cli.following import _end_of_run
from bulkpoint.events.message import NOTIFIED_TYPES, message_of
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs
from bulkpoint.store.export import stream_payments
from bulkpoint.store.notification import unsent_notifications
from bulkpoint.store.outbox import Event
from bulkpoint.store.payment import Change
from bulkpoint.store.progress import sample_progress, summarize_run
from bulkpoint.store.share import ShareToken
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.views.alerts import trouble_sentence
from bulkpoint.views.audit import AuditLogView, HistoryView
from bulkpoint.views.campaign import campaign_detail, campaign_list
from bulkpoint.views.changes import CampaignStopped, RunEnded
from bulkpoint.views.export import write_csv
from bulkpoint.views.month import MonthView, read_month
from bulkpoint.views.page import page_of, read_figures
from bulkpoint.views.progress import Progress, progress_line
from bulkpoint.views.sentences import sentence
from bulkpoint.views.sums import ReportView, read_sums
from bulkpoint.views.view import Screen
from bulkpoint.views.workbook import Exported, write_xlsx
from tests.world.campaigns import Campaign, World

Figures = dict[str, int]
NAMES = ("success", "failed", "unknown")


def latest_end(campaign: Campaign) -> Event:
    ends = ["campaign.completed", "campaign.failed", "campaign.stopped", "campaign.corrected"]
    return unsent_notifications(campaign.world.connection, ends, "slack")[-1]


def page(campaign: Campaign) -> str:
    text = page_of(read_figures(campaign.world.connection, campaign.id, timezone="UTC"), language="en", timezone="UTC")
    return " ".join(re.sub("<[^>]*>", " ", text[text.index("<header") : text.index("<footer")]).split())


def show(campaign: Campaign) -> str:
    connection, found = campaign.world.connection, get_campaign(campaign.world.connection, campaign.id)
    detail = campaign_detail(found, get_counts(connection, found), list_campaign_runs(connection, campaign.id))
    return "\n".join(detail.as_text(Screen()))


def history(campaign: Campaign) -> str:
    events = list_history(campaign.world.connection, campaign.id)
    found = get_campaign(campaign.world.connection, campaign.id)
    return list(HistoryView.of(found, events, "UTC").as_text(Screen()))[-1]


def audit(campaign: Campaign) -> str:
    rows = AuditLogView.of(list_history(campaign.world.connection, campaign.id)).as_text(Screen())
    return rows[-1]


def sums_of_csv(campaign: Campaign) -> str:
    with one_snapshot(campaign.world.connection):
        batches = stream_payments(campaign.world.connection, campaign.id, failed_only=False)
        return str(write_csv(batches, io.BytesIO(), timezone="UTC"))


def report(campaign: Campaign) -> str:
    """Its first table, each figure under its head; the other tables are sums of parts."""
    with one_snapshot(campaign.world.connection):
        sums = read_sums(campaign.world.connection, campaign.id, timezone="UTC", reasons_max=9)
    return _pairs(list(ReportView.of(sums).as_text(Screen())), "ALL")


def month(campaign: Campaign) -> str:
    """Its first table in the same way: the campaign is the only one."""
    sums = read_month(campaign.world.connection, f"{datetime.now(UTC):%Y-%m}", timezone="UTC", reasons_max=9)
    return _pairs([re.sub(f"^{campaign.id}  ", "", line) for line in MonthView.of(sums).as_text(Screen())], "CAMPAIGN")


def _pairs(lines: list[str], name: str) -> str:
    head = next(number for number, line in enumerate(lines) if line.startswith(name))
    cells = [re.split(" {2,}", line) for line in lines[head : head + 2]]
    return " ".join(" ".join(pair) for pair in zip(*cells, strict=True)) + " "


def workbook(campaign: Campaign) -> str:
    """The sums by state on the first sheet."""
    stream = io.BytesIO()
    with one_snapshot(campaign.world.connection):
        sums = read_sums(campaign.world.connection, campaign.id, timezone="UTC", reasons_max=9)
        batches = stream_payments(campaign.world.connection, campaign.id, failed_only=False)
        write_xlsx(batches, stream, sums, Exported("kim", "kim", None, failed_only=False), language="ko")
    book = CalamineWorkbook.from_filelike(io.BytesIO(stream.getvalue()))
    rows = book.get_sheet_by_name("합계").to_python()
    texts = ["|".join(str(cell).removesuffix(".0") for cell in row if cell != "") for row in rows]
    begin = next(number for number, text in enumerate(texts) if text.startswith("상태별"))
    end = next(number for number, text in enumerate(texts) if text.startswith("지급 사유별"))
    return "\n".join(texts[begin:end])


def end_line(campaign: Campaign) -> str:
    return RunEnded.of(summarize_run(campaign.world.connection, campaign.run.token.run_id)).as_line()


def stop_line(campaign: Campaign) -> str:
    stopped = CampaignStopped.of(campaign.id, sample_progress(campaign.world.connection, campaign.id), None)
    return "\n".join(stopped.as_text(Screen()))


def check(campaign: Campaign, language: str = "en") -> str:
    settings = load_settings({"BULKPOINT_DATABASE_URL": "postgresql://u@h/b"})
    found = find_troubles(campaign.world.connection, settings, notified=NOTIFIED_TYPES)
    return "\n".join(trouble_sentence(trouble, "UTC", language) for trouble in found)


# What each output says, and the pattern that each figure has in it; one that it does not say is left out.
N = r"(\d+)"
OUTPUTS: dict[str, tuple[Callable[[Campaign], str], dict[str, str]]] = {
    "Slack, ko": (
        lambda campaign: message_of(latest_end(campaign), language="ko").text,
        {
            "success": f"성공: {N}건",
            "failed": f"실패: {N}건",
            "unknown": rf"확인 필요\(UNKNOWN\): {N}건",
            "open": f"미처리: {N}건",
            "sent": rf"보냈을 수 있음[^:]*: {N}건",
            "sent_amount": f"보냈을 수 있음 {N}P",
            "failed_amount": f"미지급 {N}P",
            "unknown_amount": f"확인 필요 {N}P",
        },
    ),
    "Slack, en": (
        lambda campaign: message_of(latest_end(campaign), language="en").text,
        {
            "success": f"Succeeded: {N} ",
            "failed": f"Failed: {N}\n",
            "unknown": f"to be looked up: {N}\n",
            "open": f"Not processed: {N}\n",
            "sent": f"Perhaps sent[^:]*: {N}\n",
            "failed_amount": f"not paid {N} P",
        },
    ),
    "history": (
        history,
        {
            "success": rf"success {N} \(",
            "failed": rf"failed {N} \(",
            "unknown": rf"unknown {N} \(",
            "open": f"not processed {N}",
            "sent": f"perhaps sent {N}",
        },
    ),
    "audit log": (
        audit,
        {
            "success": rf"success {N} \(",
            "failed": rf"failed {N} \(",
            "open": f"not processed {N}",
            "sent": f"perhaps sent {N}",
        },
    ),
    "show": (
        show,
        {
            "success": rf"SUCCESS +{N} ",
            "failed": rf"\nFAILED +{N} ",
            "unknown": rf"UNKNOWN +{N} ",
            "failed_amount": rf"\nFAILED +\d+ +{N}\n",
            "open": rf"\nPENDING +{N} ",
            "sent": rf"\nPROCESSING +{N} ",
        },
    ),
    "list": (
        lambda campaign: "\n".join(
            campaign_list([(get_campaign(campaign.world.connection, campaign.id), campaign.counts())]).as_text(Screen())
        ),
        {"success": rf"1,?200 +{N} ", "failed": rf"1,?200 +\d+ +{N} ", "unknown": rf"1,?200 +\d+ +\d+ +{N} "},
    ),
    "page": (
        page,
        {
            "success": f"Succeeded {N} ",
            "failed": f" Failed {N} ",
            "unknown": f" unknown {N} ",
            "open": f"Not processed {N} ",
            "sent": f"Perhaps sent {N} ",
        },
    ),
    "sums of the report": (
        sums_of_csv,
        {
            "success": rf"success {N} ",
            "failed": rf"failed {N} ",
            "unknown": rf"unknown {N} ",
            "open": f"processed {N} ",
            "sent": f"perhaps sent {N} ",
        },
    ),
    "report": (
        report,
        {
            "success": f"SUCCESS {N} ",
            "failed": f"FAILED {N} ",
            "unknown": f"UNKNOWN {N} ",
            "open": f"NOT PROCESSED {N} ",
            "sent": f"PERHAPS SENT {N} ",
            "failed_amount": rf"FAILED \d+ POINTS {N} ",
        },
    ),
    "workbook": (
        workbook,
        {
            "success": rf"성공\|{N}\|",
            "failed": rf"실패\|{N}\|",
            "unknown": rf"확인 필요\|{N}\|",
            "open": rf"미처리\|{N}\|",
            "sent": rf"보냈을 수 있음\|{N}\|",
            "unknown_amount": rf"확인 필요\|\d+\|{N}",
        },
    ),
    "the last line of start": (
        end_line,
        {
            "success": f": success {N},",
            "failed": f" failed {N},",
            "unknown": f" unknown {N},",
            "open": f"not processed {N}",
            "sent": f"perhaps sent {N}",
        },
    ),
    "stop": (
        stop_line,
        {
            "success": f"paid {N},",
            "failed": f"failed {N},",
            "unknown": f"unknown {N},",
            "open": f"not processed {N}[;,]",
            "sent": f"perhaps sent {N} ",
        },
    ),
    "progress": (
        lambda campaign: progress_line(
            Progress(sample_progress(campaign.world.connection, campaign.id), None, None), "UTC"
        ),
        {"success": f"success {N} ", "failed": f"failed {N} ", "unknown": f"unknown {N} "},
    ),
    "check": (check, {"unknown": f"has {N} UNKNOWN", "open": f"not processed {N}", "sent": f"perhaps sent {N} "}),
    "check, ko": (
        lambda campaign: check(campaign, "ko"),
        {"unknown": f"지급이 {N}건", "open": f"미처리 {N}건", "sent": f"보냈을 수 있음 {N}건"},
    ),
    "the error of start": (
        lambda campaign: sentence(
            _end_of_run(summarize_run(campaign.world.connection, campaign.run.token.run_id)) or Refusal("NO_REASON")
        ),
        {"open": f"not processed: {N}", "sent": f"perhaps sent {N} "},
    ),
    "the month": (
        month,
        {
            "success": f"SUCCESS {N} ",
            "unknown": f"UNKNOWN {N} ",
            "open": f"NOT PROCESSED {N} ",
            "sent": f"PERHAPS SENT {N} ",
        },
    ),
}


def told(campaign: Campaign) -> dict[str, Figures]:
    """The figures in each output."""
    found: dict[str, Figures] = {}
    for name, (make, patterns) in OUTPUTS.items():
        said = make(campaign)
        matches = {figure: re.search(pattern, said) for figure, pattern in patterns.items()}
        assert all(match for figure, match in matches.items() if not figure.startswith("sent")), (name, matches, said)
        found[name] = {figure: int(match[1]) if match else 0 for figure, match in matches.items()}
    return found


def assert_all_say(campaign: Campaign, expected: Figures) -> None:
    figures = expected | {f"{name}_amount": 100 * expected[name] for name in ("failed", "unknown", "sent")}
    for name, said in told(campaign).items():
        assert said == {figure: figures[figure] for figure in said}, name
    event = latest_end(campaign).data
    failed = expected["failed"] + expected["unknown"]
    assert [event[name] for name in NAMES] == [expected["success"], failed, expected["unknown"]]
    assert (event["open"], event["processing"]) == (expected["open"] + expected["sent"], expected["sent"])
    assert event["processing_amount"] == 100 * expected["sent"]
    assert event["failure_kinds"] == {
        "REJECTED": expected["failed"], "MISMATCH": 0, "UNAVAILABLE": 0, "UNKNOWN": expected["unknown"]
    }  # fmt: skip
    campaign.assert_sums_hold()


def paid(token: ShareToken, seq: int) -> Change:
    return Change(seq, "SUCCESS", token, tries=1, maybe_credited=False, transaction_id=f"late-{seq}")


@pytest.fixture
def stopped(world: World) -> Campaign:
    """Twelve payments of 100 points; a stop comes while two calls are under way, whose answers come in after it."""
    campaign = world.campaign(targets=12, amount=100).begun().paid([1, 2]).failed([3, 4]).claimed([8, 9])
    campaign.failed([5, 6, 7], kind="UNKNOWN")
    ask_to_stop(world.connection, campaign.id, actor="lee", reason="wrong list")
    assert end_if_settled(world.connection, campaign.id, actor="lee") is None
    return campaign


def test_after_a_stop_with_calls_under_way_every_output_has_the_settled_figures(stopped: Campaign) -> None:
    token = stopped.token
    assert token is not None
    stopped.record(token, [paid(token, 8), paid(token, 9)])
    stopped.released()
    assert end_if_settled(stopped.world.connection, stopped.id, actor="lee") is not None
    assert_all_say(stopped, {"success": 4, "failed": 2, "unknown": 3, "open": 3, "sent": 0})


def test_after_a_late_answer_every_output_has_the_corrected_figures(stopped: Campaign) -> None:
    frozen = stopped.token
    assert frozen is not None
    stopped.lose(frozen)
    stopped.token = None
    connection = stopped.world.connection
    assert end_if_settled(connection, stopped.id, actor="lee") is not None
    assert_all_say(stopped, {"success": 2, "failed": 2, "unknown": 3, "open": 3, "sent": 2})
    stopped.record(frozen, [paid(frozen, 8)])
    assert correct_end(connection, stopped.id, stopped.run.token.run_id)
    assert_all_say(stopped, {"success": 3, "failed": 2, "unknown": 3, "open": 3, "sent": 1})


def test_no_output_has_a_sum_of_what_failed_and_what_may_have_been_credited(stopped: Campaign) -> None:
    token = stopped.token
    assert token is not None
    stopped.record(token, [paid(token, 8), paid(token, 9)])
    stopped.released()
    end_if_settled(stopped.world.connection, stopped.id, actor="lee")
    # 2 failed, 3 unknown, 3 not processed, 4 paid of 12: neither 5, 6 nor 8 is a figure of anything, nor such points.
    for name, (make, _) in OUTPUTS.items():
        said = re.sub(r"\d+[-:]\d+\S*|[0-9a-f]{64}|\d+\.\d %", " ", make(stopped))
        said = said[: said.find("Payments ended over time")] if name == "page" else said
        sums = re.findall(r"(?<![\d,.])(?:5|6|8|500|600|800)(?![\d,.%])", said)
        assert sums == [], (name, said)


def test_what_a_worker_that_died_may_have_sent_is_no_part_of_what_is_not_processed(stopped: Campaign) -> None:
    # 3 not processed, 2 perhaps sent: 5 is a figure of no output that people read, and 500 no points.
    frozen = stopped.token
    assert frozen is not None
    stopped.lose(frozen)
    stopped.token = None
    assert end_if_settled(stopped.world.connection, stopped.id, actor="lee") is not None
    for name, (make, _) in OUTPUTS.items():
        said = re.sub(r"\d+[-:]\d+\S*|[0-9a-f]{64}|\d+\.\d %", " ", make(stopped))
        said = said[: said.find("Payments ended over time")] if name == "page" else said
        assert re.findall(r"(?<![\d,.])5(?:00)?(?![\d,.%])", said) == [], (name, said)
