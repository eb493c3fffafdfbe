"""Files of targets: every bad one is refused, naming row and rule, and every good form is read."""

from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bulkpoint.campaigns.create import Totals, check_targets
from bulkpoint.errors import RefusedError
from bulkpoint.intake import target_file
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_file import TargetFile
from bulkpoint.rules.readiness import NO_LIMITS, PaymentLimits
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.sentences import sentence
from tests.world.refusals import refused

HEADER = b"member_id,amount,reason\n"
NO_ROWS = {
    "member_id": pa.array([], pa.string()),
    "amount": pa.array([], pa.int64()),
    "reason": pa.array([], pa.string()),
}
GOOD = HEADER + b"m1,100,gift\nm2,250,thanks\n"


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "targets.csv"
        path.write_bytes(content)
        return path

    return write


def refusal(path: Path, **limits: int) -> str:
    with pytest.raises(RefusedError) as caught:
        check_targets(TargetFile(path), PaymentLimits(**limits))
    return sentence(caught.value)


def test_a_good_file_is_added_up(csv_file: Callable[[bytes], Path]) -> None:
    assert check_targets(TargetFile(csv_file(GOOD)), NO_LIMITS) == Totals(2, 350)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD + b"\n\r\n",
        GOOD.rstrip(b"\n"),
        b'reason,"member_id",amount\ngift,m1,100\nthanks,"m2",250\n',
    ],
    ids=["BOM", "CR LF", "empty lines", "no last line end", "order and quotes"],
)
def test_forms_that_are_as_good(csv_file: Callable[[bytes], Path], content: bytes) -> None:
    rows = [row[1:] for row in TargetFile(csv_file(content)).rows(Problems())]
    assert rows == [("m1", "100", "gift"), ("m2", "250", "thanks")]


def test_quoted_fields_may_hold_commas_quotes_and_lines_and_rows_keep_their_line(
    csv_file: Callable[[bytes], Path],
) -> None:
    path = csv_file(HEADER + '"m,1",1,"a ""b""\nc"\nm2,2,사과\n'.encode())
    assert list(TargetFile(path).rows(Problems())) == [(2, "m,1", "1", 'a "b"\nc'), (4, "m2", "2", "사과")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (HEADER, "no rows"),
        (HEADER + b"\n\n", "no rows"),
        (b"member_id,amount\nm1,1\n", "row 1: the column 'reason' is missing"),
        (b"member_id,amount,reason,x\nm1,1,a,b\n", "row 1: the column 'x' is not one of ours"),
        (b"member_id,amount,reason,amount\nm1,1,a,2\n", "row 1: the column 'amount' is there twice"),
        (b"Member_ID,amount,reason\nm1,1,a\n", "row 1: the column 'member_id' is missing"),
        (b"m1,100,gift\n", "row 1: there is no header; the first row looks like data: 'm1', '100', 'gift'"),
        (GOOD.decode().encode("utf-16-le"), "is not UTF-8. Read as UTF-16 it says:\n  row 1: 'member_id,amount"),
        (HEADER + b"m1,1,a\nm2,2\n", "row 3: The row has 2 values, not 3."),
        (HEADER + b"m1,1,a,b\n", "row 2: The row has 4 values, not 3."),
        (HEADER + b'm1,1,"a\nm2,2,b\n', "row 2: The row cannot be read as CSV"),
        (HEADER + b'm1,1,"a"b\n', "row 2: The row cannot be read as CSV"),
        (HEADER + "m1,1,감사\n".encode("cp949"), "is not UTF-8. Read as CP949"),
        (HEADER + b"m1,1," + b"x" * 70_000 + b"\n", "row 2: the line is longer than"),
        (HEADER + b"m1,0,a\n", "row 2: amount is '0'"),
        (HEADER + b"m1,-5,a\n", "row 2: amount is '-5'"),
        (HEADER + b"m1,1.5,a\n", "row 2: amount is '1.5'"),
        (HEADER + b"m1,1e3,a\n", "row 2: amount is '1e3'"),
        (HEADER + b"m1,NaN,a\n", "row 2: amount is 'NaN'"),
        (HEADER + b"m1,9223372036854775808,a\n", "row 2: amount is '9223372036854775808'"),
        (HEADER + b",1,a\n", "row 2: member_id is empty."),
        (HEADER + b" m1,1,a\n", "row 2: member_id has a space"),
        (HEADER + b"m\x001,1,a\n", "row 2: member_id has a control character"),
        (HEADER + b'"m\n1",1,a\n', "row 2: member_id has a control character"),
        (HEADER + b"m" * 10_000 + b",1,a\n", "row 2: member_id has 10000 characters"),
        (HEADER + b"m1,1,\n", "row 2: reason is empty."),
        (HEADER + b"m1,1,a\nm2,2,b\nm1,3,c\n", "row 4: member_id 'm1' is in row 2 already."),
    ],
)
def test_a_bad_file_is_refused_naming_row_and_rule(
    csv_file: Callable[[bytes], Path], content: bytes, sentence: str
) -> None:
    assert sentence in refusal(csv_file(content))


@pytest.mark.parametrize("member_id", ["=cmd()", "+1", "-1", "@x", "회원-1", "👍", "M1 m"])
def test_odd_member_ids_are_taken_as_they_are(csv_file: Callable[[bytes], Path], member_id: str) -> None:
    path = csv_file(HEADER + f"{member_id},1,a\n".encode())
    assert check_targets(TargetFile(path), NO_LIMITS).count == 1
    assert [row[1] for row in TargetFile(path).rows(Problems())] == [member_id]


def test_the_same_rule_in_many_rows_is_one_line(csv_file: Callable[[bytes], Path]) -> None:
    rows = (b"m%d,=%d,a\n" % (number, number) for number in range(50))
    path = csv_file(HEADER + b"".join(rows) + b"m,0,a\nm,0,b\n")
    assert refusal(path).splitlines()[1:] == [
        "  50 rows (2, 3, 4, 5, 6, ...), such as row 2: amount is '=0': it is not a whole number. Write the digits 0 "
        "to 9 and nothing else.",
        "  row 52: amount is '0': it must be 1 to 1,000,000,000,000 points.",
        "  row 53: amount is '0': it must be 1 to 1,000,000,000,000 points.",
        "  row 53: member_id 'm' is in row 52 already.",
        "  --errors FILE writes all of them.",
    ]


def test_all_errors_are_written_in_the_order_of_their_rows(csv_file: Callable[[bytes], Path], tmp_path: Path) -> None:
    path = csv_file(HEADER + b"m1,1,a\nm1,1,a\nm2,0,a\nm1,1,a\nm3,0,a\n")
    errors = tmp_path / "errors.csv"
    with refused("All of them are in"):
        check_targets(TargetFile(path), NO_LIMITS, errors)
    assert [line.split(",")[0] for line in errors.read_text().splitlines()] == ["row", "3", "4", "5", "6"]


def test_twenty_problems_are_shown_and_all_are_written(csv_file: Callable[[bytes], Path], tmp_path: Path) -> None:
    amounts = 10 * [b"=0", b"+1", b"1.5", b"", b"0"]
    path = csv_file(HEADER + b"".join(b"m%d,%s,a\n" % each for each in enumerate(amounts[:25])) + 25 * b"m,1\n")
    assert "50 errors. Nothing was loaded." in refusal(path)
    assert "and 6 more: --errors FILE" in refusal(path)
    assert refusal(path).count("\n  row ") == 19, "and a line for 25 rows"
    errors = tmp_path / "errors.csv"
    with refused("All of them are in"):
        check_targets(TargetFile(path), NO_LIMITS, errors)
    lines = errors.read_text().splitlines()
    assert len(lines) == 51
    assert lines[0] == "row,column,rule,value"
    assert lines[1].startswith("2,amount,")
    assert lines[1].endswith(",'=0'")  # quoted, so that no spreadsheet takes it for a formula


def test_every_second_row_of_a_member_is_a_problem_also_beside_others(csv_file: Callable[[bytes], Path]) -> None:
    text = refusal(csv_file(HEADER + b"a,1,x\nb,0,x\na,1,x\nb,2,x\na,1,x\n"))
    assert "4 errors" in text
    assert "row 4: member_id 'a' is in row 2 already." in text
    assert "row 6: member_id 'a' is in row 2 already." in text
    assert "row 5: member_id 'b' is in row 3 already." in text


def test_members_whose_hashes_meet_are_not_duplicates(
    csv_file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bulkpoint.campaigns import create

    for module in (create, target_file):
        monkeypatch.setattr(module, "hash", lambda _: 7, raising=False)
    assert check_targets(TargetFile(csv_file(GOOD)), NO_LIMITS).count == 2


def test_the_settings_cap_of_a_row_is_a_rule(csv_file: Callable[[bytes], Path]) -> None:
    assert "row 3: amount is '250': it must be 1 to 200 points." in refusal(csv_file(GOOD), per_row=200)


def test_an_empty_file_is_refused_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "targets.xlsx"
    path.touch()
    with refused(r"targets\.xlsx is empty"):
        check_targets(TargetFile(path), NO_LIMITS)


def parquet_file(tmp_path: Path, **columns: Any) -> Path:
    path = tmp_path / "targets.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("amounts", [pa.array([1, 2]), pa.array([Decimal(1), Decimal(2)], pa.decimal128(20, 0))])
def test_parquet_with_whole_amounts_is_read(tmp_path: Path, amounts: Any) -> None:
    path = parquet_file(tmp_path, reason=["a", "사과"], member_id=["m1", "m2"], amount=amounts)
    assert list(TargetFile(path).rows(Problems())) == [(1, "m1", 1, "a"), (2, "m2", 2, "사과")]
    assert check_targets(TargetFile(path), NO_LIMITS) == Totals(2, 3)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"amount": [1.0]}, "the column amount is double; it must be int64"),
        ({"amount": ["1"]}, "the column amount is string; it must be int64"),
        ({"amount": pa.array([Decimal("1.5")])}, "the column amount is decimal128(2, 1)"),
        ({"member_id": [7]}, "the column member_id is int64; it must be string"),
        ({"reason": [None]}, "the column reason is null; it must be string"),
        ({"amount": pa.array([None], pa.int64())}, "row 1: amount is null."),
        ({"member_id": pa.array([None], pa.string())}, "row 1: member_id is null."),
        ({"amount": [0]}, "row 1: amount is 0"),
        ({"extra": [1]}, "the column 'extra' is not one of ours"),
        (NO_ROWS, "no rows"),
    ],
)
def test_bad_parquet_is_refused(tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    path = parquet_file(tmp_path, **({"member_id": ["m1"], "amount": [1], "reason": ["a"]} | columns))
    assert sentence in refusal(path)


def test_a_file_is_what_its_bytes_say_whatever_its_name_says(tmp_path: Path) -> None:
    path = tmp_path / "targets.parquet"
    path.write_bytes(GOOD)
    assert check_targets(TargetFile(path), NO_LIMITS) == Totals(2, 350)
    parquet_file(tmp_path, member_id=["m1"], amount=[1], reason=["a"]).rename(tmp_path / "targets.csv")
    said: list[Refusal] = []
    assert check_targets(TargetFile(tmp_path / "targets.csv", inform=said.append), NO_LIMITS) == Totals(1, 1)
    assert [sentence(each) for each in said] == ["targets.csv is read as Parquet, which it is, whatever its name says."]


def test_a_parquet_file_is_never_whole_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_file, "PARQUET_BATCH_ROWS", 1_000)
    path = tmp_path / "targets.parquet"
    members = [sha256(str(number).encode()).hexdigest() for number in range(20_000)]
    columns = {"member_id": members, "amount": [1] * len(members), "reason": members}
    parquet.write_table(pa.table(columns), path, row_group_size=1_000, use_dictionary=False)
    before = pa.total_allocated_bytes()
    rows = TargetFile(path).rows(Problems())
    assert next(rows)[1] == members[0]
    assert pa.total_allocated_bytes() - before < path.stat().st_size / 4


def test_a_parquet_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, member_id=["m1"], amount=[1], reason=["a"])
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as Parquet" in refusal(path)
