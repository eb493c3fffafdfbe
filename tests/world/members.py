"""A database in which members are named wherever they may be, and where their ids would be seen if they were shown."""

import io
import zipfile

from bulkpoint.rules.member_names import named
from tests.world.campaigns import Campaign, World

MEMBERS = [f"member-741000{n}" for n in range(1, 9)]
# Two that look alike, one that a spreadsheet has damaged, and one whose amount is far above all others.
ODD = ["010-7410-0011", "０10-7410-0011", "member-74100#REF!", "7410012"]
UNKNOWN = "member-7410999"
ALL_IDS = [*MEMBERS, *ODD, UNKNOWN]
RICH = ODD[3]
ROWS = [(member, 100 * n, f"gift {n}") for n, member in enumerate(MEMBERS, start=1)]


def members_everywhere(world: World) -> list[Campaign]:
    """Campaign 1 ended, with failures that the money API explains by the id; 2 was halted for a member that its reason
    names, and has a transaction that names another; 3 waits, with findings in its list; 4 waits.
    """
    first = world.campaign(ROWS).begun().paid(1)
    for seq in (2, 3):
        first.failed([seq], code="GONE", failure_message=f"no member {MEMBERS[seq - 1]}")
    first.failed([4], "UNKNOWN", failure_message=f"late: {MEMBERS[3]}").ended("COMPLETED")
    why = f"MISMATCH: differs (payment 3 of campaign 2, member {named(MEMBERS[2])})"
    second = world.campaign([(member, 7, "again") for member in MEMBERS]).begun()
    second.paid(1, transaction=f"tx-{MEMBERS[0]}-").halted("MISMATCH", why).ended("FAILED")
    odd = [(member, 10**9 if member == RICH else 5, "odd") for member in ODD]
    return [first, second, world.campaign([*ROWS, *odd]), world.campaign([(RICH, 5, "r")])]


def a_list() -> str:
    """A person's own file, as CSV, in which a member is twice."""
    rows = [*ROWS, *((member, 5, "odd") for member in ODD), ROWS[0]]
    return "member_id,amount,reason\n" + "".join(f"{member},{points},{reason}\n" for member, points, reason in rows)


def a_settlement() -> str:
    """Of campaign 1, with other transactions than ours."""
    rows = [f"{member},{points},x-{n},1\n" for n, (member, points, _) in enumerate(ROWS, start=1)]
    return "member_id,amount,transaction_id,campaign_id\n" + "".join(rows)


def named_in(text: str) -> list[str]:
    """The members who are in a text by their whole ids."""
    return [member for member in ALL_IDS if member in text]


def text_of(content: bytes) -> str:
    """All text of a file: of a workbook, of Parquet, of any text."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as entries:
            return "\n".join(entries.read(entry).decode() for entry in entries.namelist())
    if content.startswith(b"PAR1"):
        from pyarrow import parquet

        return str(parquet.read_table(io.BytesIO(content)).to_pydict())
    return content.decode()
