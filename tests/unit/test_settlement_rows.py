"""Rows of a settlement that are no lines of members, and amounts as statements write them."""

import pytest

from bulkpoint.errors import UsageError
from bulkpoint.intake.settlement_form import AMOUNT_FORMS, LineClass, SettlementForm
from bulkpoint.intake.settlement_marks import Mark, MarkKind, find_mark, find_record
from bulkpoint.intake.settlement_sums import SettlementSums


@pytest.mark.parametrize(
    ("values", "kind", "numbers"),
    [
        (["TOTAL", "300", ""], MarkKind.TOTAL, (300,)),
        (["", "300", "Total:"], None, None),  # a transaction id, if an odd one: the line is wrong, and no total
        (["합계 3건", "1,200원", ""], MarkKind.TOTAL, (3, 1200)),
        (["Grand total (KRW)", "1,200.00", "-"], MarkKind.TOTAL, (1200,)),
        (["소계", "(300)", ""], MarkKind.TOTAL, (300,)),
        (["TRL", "20261126", "2", "30"], MarkKind.TOTAL, (2, 30)),
        (["TRL", "2", "30"], MarkKind.TOTAL, (2, 30)),
        (["EOF"], MarkKind.TOTAL, ()),
        (["count=3"], MarkKind.TOTAL, (3,)),
        (["HDR", "20261126", "0001"], MarkKind.HEADER, ()),
        (["# written by money", "", ""], MarkKind.COMMENT, ()),
        (["part 1 of 2"], MarkKind.COMMENT, ()),
        (["TOTAL", "300", "tx-1"], None, None),
        (["totally-a-member", "300", ""], None, None),
        (["m-1", "300", ""], None, None),
        (["total-7", "300", ""], None, None),
        (["end.user", "300", ""], None, None),
        (["sub-total", "300", ""], MarkKind.TOTAL, (300,)),
        (["sum-1", "300", "tx-1"], None, None),
    ],
)
def test_a_row_is_a_mark_where_it_cannot_be_a_members(
    values: list[str], kind: MarkKind | None, numbers: tuple[int, ...] | None
) -> None:
    mark = find_mark(7, values, width=3, transaction=2, member=0)
    assert (mark and mark.kind, mark and mark.numbers) == (kind, numbers)


def test_a_row_with_a_status_is_a_line_whatever_its_member_is_called() -> None:
    assert find_mark(7, ["Total", "300", "", "FAILED"], width=4, transaction=2, member=0, status=3) is None
    assert find_mark(7, ["Total", "300", "", ""], width=4, transaction=2, member=0, status=3) is not None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("# part 1 of 2", (1, 2)),
        ("HDR,20261126,PART 2/3", (2, 3)),
        ("#파트 1/2", (1, 2)),
        ("HDR;1/2 parts", (1, 2)),
        ("# part 3 of 2", None),
        ("HDR,1/2", None),
    ],
)
def test_a_record_says_which_part_it_is(line: str, part: tuple[int, int] | None) -> None:
    mark = find_record(1, line)
    assert mark is not None
    assert mark.part == part


@pytest.mark.parametrize("line", ["회원번호,금액", "total,amount,transaction", "m-1,100,tx-1"])
def test_a_header_is_no_record(line: str) -> None:
    assert find_record(1, line) is None


def test_a_totals_figures_are_those_of_the_lines_before_it() -> None:
    sums = SettlementSums()
    for line_class, amount in ((LineClass.CREDITED, 100), (LineClass.NOT_CREDITED, 7), (LineClass.REVERSED, 30)):
        sums.add(line_class, amount, ours=True)
    agree = {number for number in range(200) if sums.note(_total(number))}
    assert agree == {3, 70, 100, 137}, "lines, credits, these without what was taken back, all as they are written"
    sums.unread += 1
    assert sums.note(_total(100)) is None, "with amounts that were not read, nothing can be compared"


@pytest.mark.parametrize(
    ("figures", "agree"),
    [
        ((1,), False),  # lines that were taken back
        ((100,), False),  # their points
        ((19_901,), False),  # lines, but not all
        ((0,), False),
        ((19_902,), True),
        ((4_975_100,), True),
        ((4_975_000,), True),
        ((19_902, 4_975_000), True),
        ((19_901, 4_975_100), True),
        ((19_902, 4_975_100, 1, 100, 4_975_000), True),
        ((1, 4_975_000), False),
        ((1, 100), False),
        ((19_902, 100), False),
        ((19_902, 1), False),
        ((19_902, 19_902), False),  # no points, though both are true
        ((100, 4_975_100), False),
    ],
)
def test_a_total_is_that_of_all_lines_and_never_of_those_taken_back(figures: tuple[int, ...], agree: bool) -> None:
    sums = SettlementSums()
    for amount in [250] * 19_900 + [100]:
        sums.add(LineClass.CREDITED, amount, ours=True)
    sums.add(LineClass.REVERSED, 100, ours=True, negative=True)
    assert sums.note(_total(*figures)) is agree


def test_a_total_below_another_is_that_of_all_lines_or_of_those_since() -> None:
    sums = SettlementSums()
    sums.add(LineClass.CREDITED, 300, ours=True)
    assert sums.note(_total(300))
    assert sums.note(_total(0)) is False, "no lines since, and so nothing that it could be of"
    sums.add(LineClass.CREDITED, 50, ours=True)
    assert [sums.note(_total(number)) for number in (50, 350, 50)] == [True, True, False]


def _total(*numbers: int) -> Mark:
    mark = find_mark(9, ["TOTAL", " ".join(map(str, numbers)), ""], width=3, transaction=2, member=0)
    assert mark is not None
    return mark


@pytest.mark.parametrize(
    ("form", "text", "read"),
    [
        ("1000", "1000", ("1000", False)),
        ("1000", "-1000", ("1000", True)),
        ("1000", "(1000)", ("1000", True)),
        ("1000", "1000-", ("1000", True)),
        ("1000", "\u22121000", ("1000", True)),
        ("1000", "△1000", ("1000", True)),
        ("1000", "▲ 1000", ("1000", True)),
        ("1000", "1,000", ("1,000", False)),
        ("1,000", "1,234,000", ("1234000", False)),
        ("1,000", "(1,000)", ("1000", True)),
        ("1,000", "1,00", ("1,00", False)),
        ("1,000", "10,00,000", ("10,00,000", False)),
        ("1.000", "1.000", ("1000", False)),
        ("1000.00", "1000.00", ("1000", False)),
        ("1000.00", "1000.5", ("1000.5", False)),
        ("1,000.00", "1,000.00", ("1000", False)),
        ("1,000.00", "1.000,00", ("1.000,00", False)),
        ("1.000,00", "1.000,00", ("1000", False)),
        ("1000,00", "1000,0", ("1000", False)),
    ],
)
def test_an_amount_is_read_in_the_named_form_and_else_left_as_it_is(
    form: str, text: str, read: tuple[str, bool]
) -> None:
    assert SettlementForm(amounts=form).read_amount(text) == read


@pytest.mark.parametrize(
    ("text", "proposed"),
    [("1,000", "1,000"), ("1000.00", "1000.00"), ("-1,000.00", "1,000.00"), ("1.000,00", "1.000,00"), ("1.5", None)],
)
def test_the_form_of_an_amount_is_proposed_and_never_taken(text: str, proposed: str | None) -> None:
    assert SettlementForm().amounts_proposed(text) == proposed
    assert SettlementForm().read_amount(text)[0] == text.lstrip("-")


def test_every_form_reads_a_thousand_as_it_is_named() -> None:
    for form in AMOUNT_FORMS:
        assert SettlementForm(amounts=form).read_amount(form) == ("1000", False)


@pytest.mark.parametrize("options", [{"encoding": "latin-1"}, {"delimiter": "ab"}, {"columns": "x=y"}])
def test_a_form_that_cannot_be_meant_is_wrong_usage(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        SettlementForm.of_options(**({"columns": None, "ignored": [], "statuses": []} | options))  # type: ignore[arg-type]
