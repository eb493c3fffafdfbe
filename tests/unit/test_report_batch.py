"""What a partition reports, as Spark gets it."""

import subprocess
import sys

import pytest

from bulkpoint.pay.task import report_batch


@pytest.mark.parametrize("trouble", [None, "", "저장소가 없습니다 \x00 🍁"])
def test_a_report_is_one_row_of_what_was_taken_and_sent_and_why_it_ended(trouble: str | None) -> None:
    report = report_batch(2**40, 0, trouble)
    report.validate(full=True)
    assert report.to_pylist() == [{"taken": 2**40, "sent": 0, "trouble": trouble}]
    assert [str(field.type) for field in report.schema] == ["int64", "int64", "string"]


def test_a_worker_does_without_pandas() -> None:
    program = (
        "import sys, bulkpoint.pay.daemon\n"
        "from bulkpoint.pay.task import report_batch\n"
        "report_batch(1, 1, 'why').to_pylist()\n"
        "sys.exit('pandas' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
