"""Reports: every payment of one moment as CSV and Parquet, and the page that shows what they come to."""

import csv
import io
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from pyarrow import parquet
from python_calamine import CalamineWorkbook

from bulkpoint.cli.report import report
from bulkpoint.errors import UsageError
from bulkpoint.store import export
from bulkpoint.store.campaign import get_campaign, get_counts
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.export import PaymentRow, list_samples, stream_payments
from bulkpoint.store.payment import Attempt
from bulkpoint.store.payment_history import find_payments
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.text import defused
from bulkpoint.views.drawing import Point, Stretch, amount_edges, draw_rates, intervals
from bulkpoint.views.export import COLUMNS, Totals, refuse_unstarted, replacing, write_csv, write_parquet
from bulkpoint.views.format import share
from bulkpoint.views.page import page_of, read_figures
from bulkpoint.views.payment import PaymentsView
from bulkpoint.views.sums import read_sums
from bulkpoint.views.workbook import Exported, write_xlsx
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

# In the order of the list: that of their bytes.
MEMBERS = ("+82", "-1", "=cmd|' /C calc'!A0", "@here", 'm"1', "m,2", "추석 👪")
SENT_AT = datetime(2026, 1, 31, 15, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def waiting(world: World) -> Campaign:
    """A campaign named with HTML; members get 100, 200 and so on."""
    reasons = ["=HYPERLINK(1)"] + ["선물,\n둘째 줄"] * (len(MEMBERS) - 1)
    rows = [(member, 100 * n, reasons[n - 1]) for n, member in enumerate(MEMBERS, start=1)]
    return world.campaign(rows, name='<b>설날</b> & "더블"', note="a < b", creator="alice <script>")


@pytest.fixture
def campaign(waiting: Campaign) -> Campaign:
    """A campaign that was stopped: the second payment FAILED, the last one is open, the others are SUCCESS."""
    paid = [1, 3, 4, 5, 6]
    waiting.begun(actor="bob").paid(paid, transaction="@t")
    waiting.failed([2], code="GONE <i>", failure_message='-no "such" member')
    waiting.times([*paid, 2], first_sent_at=SENT_AT).times(paid, finished_at=SENT_AT + timedelta(seconds=1))
    return waiting.stopped(actor="carol", reason="a < b & c")


@pytest.fixture
def paid(campaign: Campaign) -> int:
    """Its id."""
    return campaign.id


def as_csv(connection: Connection, campaign_id: int, *, failed_only: bool = False) -> tuple[bytes, Totals]:
    stream = io.BytesIO()
    with one_snapshot(connection):
        payments = stream_payments(connection, campaign_id, failed_only=failed_only)
        totals = write_csv(payments, stream, timezone="Asia/Seoul")
    return stream.getvalue(), totals


def test_csv_has_a_row_for_each_payment_in_the_order_of_the_list(connection: Connection, paid: int) -> None:
    content, totals = as_csv(connection, paid)
    header, *rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert header == [
        "campaign_id", "member_id", "amount", "reason", "state", "transaction_id", "failure_kind", "failure_code",
        "failure_message", "attempts", "first_sent_at", "finished_at", "settled_by_hand", "first_sent_at_local",
        "finished_at_local", "member_id_raw",
    ]  # fmt: skip
    assert [row[2] for row in rows] == ["100", "200", "300", "400", "500", "600", "700"]
    times = [
        "2026-01-31T15:00:00.250Z",
        "2026-01-31T15:00:01.250Z",
        "",
        "2026-02-01 00:00:00",
        "2026-02-01 00:00:01",
        "",
    ]
    assert rows[4] == [str(paid), 'm"1', "500", "선물,\n둘째 줄", "SUCCESS", "'@t5", "", "", "", "1", *times]
    assert rows[6] == [
        str(paid),
        "추석 👪",
        "700",
        "선물,\n둘째 줄",
        "PENDING",
        "",
        "",
        "",
        "",
        "0",
        "",
        "",
        "",
        "",
        "",
        "",
    ]
    assert content.startswith(b"\xef\xbb\xbfcampaign_id,"), "Korean Excel takes a file without a BOM for CP949"
    assert content.count(b"\r\n") == 8
    assert str(totals) == (
        "7 payments, 2,800 points: success 5 (1,900 points), failed 1 (200 points), not processed 1 (700 points)"
    )


def test_csv_holds_no_formula(connection: Connection, paid: int) -> None:
    content, _ = as_csv(connection, paid)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [row[1] for row in rows[1:]] == ["'+82", "'-1", "'=cmd|' /C calc'!A0", "'@here", 'm"1', "m,2", "추석 👪"]
    assert rows[1][3] == "'=HYPERLINK(1)"
    assert rows[2][8] == '\'-no "such" member'
    assert [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []


def test_beside_a_defused_member_id_is_the_id_itself(connection: Connection, paid: int) -> None:
    content, totals = as_csv(connection, paid)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    ids = [json.loads(row["member_id_raw"]) if row["member_id_raw"] else row["member_id"] for row in rows]
    assert tuple(ids) == MEMBERS
    assert totals.defused_ids == 4
    assert [cell for row in rows for cell in row.values() if defused(cell) != cell] == []


def test_first_sent_at_is_when_the_first_call_really_left(connection: Connection, campaign: Campaign) -> None:
    def of(seq: int, method: str, seconds: float) -> Attempt:
        sent_at = SENT_AT.timestamp() + seconds
        attempt_id = UUID(int=int(sent_at * 1000) << 80 | seq)
        return Attempt(str(attempt_id), method, seq, sent_at, sent_at + 1, 200, "CREDITED", None, None)

    campaign.begun("RESUME").attempted(of(1, "POST", 9.5), of(1, "POST", 4.7), of(1, "GET", 1), of(2, "GET", 2))
    with one_snapshot(connection):
        [rows] = stream_payments(connection, campaign.id, failed_only=False)
    first = [row.first_sent_at and (row.first_sent_at - SENT_AT).total_seconds() for row in rows]
    assert first == [4.7, 0, 0, 0, 0, 0, None], "of the claim only where no call is recorded"
    [found] = PaymentsView.of(find_payments(connection, MEMBERS[0])).payments
    assert found.first_sent_at == rows[0].first_sent_at


def test_only_the_failed_ones_where_that_is_asked(connection: Connection, paid: int) -> None:
    content, totals = as_csv(connection, paid, failed_only=True)
    [_, row] = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert row[4:9] == ["FAILED", "", "REJECTED", "GONE <i>", '\'-no "such" member']
    assert str(totals) == "1 payment, 200 points: success 0 (0 points), failed 1 (200 points)"


def test_parquet_keeps_values_and_has_types(connection: Connection, paid: int) -> None:
    stream = io.BytesIO()
    with one_snapshot(connection):
        totals = write_parquet(stream_payments(connection, paid, failed_only=False), stream)
    table = parquet.read_table(io.BytesIO(stream.getvalue()))
    assert table.column_names == list(PaymentRow._fields)
    assert tuple(table["member_id"].to_pylist()) == MEMBERS
    assert table["finished_at"].to_pylist()[0] == SENT_AT + timedelta(seconds=1)
    assert table.schema.field("finished_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("amount").type == pa.int64()
    assert sum(table["amount"].to_pylist()) == sum(totals.amounts.values()) == 2_800


def test_a_workbook_read_back_is_what_the_database_has(connection: Connection, paid: int) -> None:
    stream = io.BytesIO()
    with one_snapshot(connection):
        sums = read_sums(connection, paid, timezone="Asia/Seoul", reasons_max=10)
        payments = stream_payments(connection, paid, failed_only=False)
        totals = write_xlsx(payments, stream, sums, Exported("Kim", "kim", None, failed_only=False), language="ko")
        [rows] = stream_payments(connection, paid, failed_only=False)
    read = CalamineWorkbook.from_filelike(io.BytesIO(stream.getvalue())).get_sheet_by_index(1).to_python()[2:]
    texts = [number for number, column in enumerate(COLUMNS) if column.kind is str]
    assert [[line[n] for n in texts] for line in read] == [[row[n] or "" for n in texts] for row in rows]
    assert [(line[0], line[2], line[9]) for line in read] == [(paid, row.amount, row.attempts) for row in rows]
    assert str(totals) == str(as_csv(connection, paid)[1])


def test_the_help_of_the_command_names_every_column() -> None:
    assert report.help is not None
    assert [name for name in PaymentRow._fields if not re.search(rf"\b{name}\b", report.help)] == []


def test_parquet_without_a_row_can_be_read() -> None:
    stream = io.BytesIO()
    write_parquet([], stream)
    assert parquet.read_table(io.BytesIO(stream.getvalue())).num_rows == 0


def test_rows_and_figures_are_of_one_moment(
    connection: Connection, database_url: str, campaign: Campaign, paid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", 2)
    with one_snapshot(connection), connect(database_url) as payer:
        counts = get_counts(connection, get_campaign(connection, paid))
        campaign.on(payer).begun("RESUME").paid(1)
        batches = list(stream_payments(connection, paid, failed_only=False))
        later = get_counts(connection, get_campaign(connection, paid))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    assert [row.state for batch in batches for row in batch].count("SUCCESS") == counts.success == later.success == 5


def test_a_snapshot_can_change_nothing(connection: Connection, paid: int) -> None:
    with pytest.raises(Exception, match="read-only transaction"), one_snapshot(connection):
        connection.execute("update payment set tries = 9")


def test_a_campaign_without_payments_is_refused_with_what_to_do(connection: Connection, waiting: Campaign) -> None:
    campaign_id = waiting.id
    with refused(f"bulkpoint campaign preview {campaign_id}"):
        refuse_unstarted(get_campaign(connection, campaign_id))
    waiting.withdrawn()
    with refused("was withdrawn before it started"):
        read_figures(connection, campaign_id, timezone="Asia/Seoul")


def test_a_report_that_breaks_off_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("old")

    def break_off() -> None:
        with replacing(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("report.csv", "old")]
    with replacing(path) as stream:
        stream.write(b"whole")
        assert path.read_text() == "old"
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("report.csv", "whole")]


@pytest.mark.parametrize("path", ["/", "/nowhere/at/all.csv", "/proc/report.csv"])
def test_what_cannot_be_written_is_said(path: str) -> None:
    with refused(f"--out {path} ", UsageError), replacing(Path(path)):
        pass


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # stands for /dev/null, which a red run of this test as root would take from everybody
    os.mkfifo(pipe)
    with refused("is no regular file", UsageError), replacing(pipe):
        pass
    assert pipe.is_fifo()


@pytest.mark.parametrize(("language", "word"), [("ko", "지급 결과 보고서"), ("en", "Payment report")])
def test_the_page_escapes_what_people_wrote_and_names_no_member(
    connection: Connection, paid: int, language: str, word: str
) -> None:
    page = page_of(read_figures(connection, paid, timezone="Asia/Seoul"), language=language, timezone="Asia/Seoul")
    assert word in page
    assert "&lt;b&gt;설날&lt;/b&gt; &amp; &#34;더블&#34;" in page
    for theirs in ("a &lt; b &amp; c", "GONE &lt;i&gt;", "alice &lt;script&gt;"):
        assert theirs in page
    for raw in ("<b>설날", "<script", "GONE <i>", "<link", "<img", "src=", "href=", "url("):
        assert raw not in page
    assert [member for member in MEMBERS[2:] if member in page] == []
    assert "no &#34;such" not in page, "money's message may name a member"


def test_the_page_adds_up(connection: Connection, paid: int) -> None:
    connection.execute(
        "insert into campaign_progress select run_id, started_at + interval '1 ms', 7, 0, 0, 0, 100 from campaign_run"
    )
    connection.execute("update campaign_run set finished_at = started_at + interval '50 s'")
    figures = read_figures(connection, paid, timezone="Asia/Seoul")
    assert sum(one.success + one.failed + one.open for one in figures.amounts) == 7
    [run] = figures.runs
    assert (run.done_before, run.done_after) == (0, 6)
    page = page_of(figures, language="en", timezone="UTC")
    [line] = re.findall(r"<tr><td>1</td>.*?</tr>", page)
    assert re.findall(r"<td>([^<]*)</td>", line)[-4:] == ["50 s", "6", "0", "bob"]
    assert '<tr class="note"><td></td><td colspan="7">Reason: a &lt; b &amp; c</td></tr>' in page
    [foot, of_failures, of_reasons] = re.findall(r"<tfoot><tr>(.*?)</tr>", page)
    assert re.findall(r">([\d,]+)<", foot) == ["7", "2,800"]
    assert re.findall(r">([\d,]+)<", of_failures) == ["1", "200"]
    assert re.findall(r">([\d,]+)<", of_reasons) == ["5", "1,900", "1", "200", "1", "700"]
    assert "<dt>Rejected 1</dt><dd>The money API refused this payment" in page
    assert '<path class="rate"' in page
    assert '<path class="limit"' not in page
    assert "limit of 100 TPS is beyond this drawing" in page


def test_of_many_samples_the_page_takes_some_and_the_last_one(connection: Connection, paid: int) -> None:
    connection.execute(
        "insert into campaign_progress select run_id, started_at + n * interval '1 s', 0, 0, n, 0, 100"
        " from campaign_run, generate_series(1, 20000) n"
    )
    samples = list_samples(connection, paid, samples_max=600)
    assert 500 <= len(samples) <= 601
    assert (samples[0].done, samples[-1].done) == (1, 20_000)
    connection.execute('update outbox_event set data = \'{"success": 20000, "failed": 0}\' where run_no = 1')
    connection.execute("update campaign_run set finished_at = started_at + interval '20001 s'")
    page = page_of(read_figures(connection, paid, timezone="Asia/Seoul"), language="ko", timezone="Asia/Seoul")
    assert 500 < page.count("V") < 700
    assert len(page) < 40_000


def test_samples_close_together_make_no_needle() -> None:
    points = [Point(SENT_AT + timedelta(seconds=s), done, 10) for s, done in ((0, 0), (5, 50), (10, 100), (10.01, 109))]
    found = intervals(Stretch(1, "first", points), at_least_s=1)
    assert [(one.begin_s, one.end_s) for one in found] == [(0, 5), (5, 10.01)]
    assert max(one.rate for one in found) < 12
    again = intervals(
        Stretch(2, "retry", [Point(SENT_AT, 9, 10), Point(SENT_AT + timedelta(seconds=2), 3, 10)]), at_least_s=1
    )
    assert [one.rate for one in again] == [0], "a retry takes payments back, and nothing is paid backwards"


@pytest.mark.parametrize(
    ("hours", "ticks"),
    [(0.005, ["00:07:02", "00:07:04"]), (4, ["00:30", "01:00"]), (72, ["06:00", "12:00", "18:00", "02-02", "06:00"])],
)
def test_the_clock_under_the_drawing_is_round_and_local(hours: float, ticks: list[str]) -> None:
    points = [Point(SENT_AT + timedelta(minutes=7, hours=hours * n / 9), n, 10) for n in range(10)]
    [run] = draw_rates([Stretch(1, "INITIAL", points)], timezone="Asia/Seoul").runs
    assert [tick.label.text for tick in run.ticks][: len(ticks)] == ticks


@pytest.mark.parametrize(
    ("lowest", "highest"),
    [(1, 1), (5, 5), (100, 130), (999, 1_001), (1, 10**12), (10**12, 10**12), (100, 5_000), (7, 90_000)],
)
def test_amounts_are_counted_between_round_points(lowest: int, highest: int) -> None:
    edges = amount_edges(lowest, highest)
    assert edges == sorted(set(edges))
    assert 1 <= edges[0] <= lowest
    assert highest < edges[-1]
    assert 2 <= len(edges) <= 17
    assert highest >= edges[-2], "no empty line at the end"


def test_a_share_is_0_or_100_only_when_it_is() -> None:
    shown = [share(part, 1_000_000) for part in (0, 1, 500, 24_950, 999_499, 999_999, 1_000_000)]
    assert shown == ["0.0 %", "< 0.1 %", "0.1 %", "2.5 %", "99.9 %", "> 99.9 %", "100.0 %"]
