"""`bulkpoint doctor`: is this installation able to pay?"""

from typing import TYPE_CHECKING

import click

from bulkpoint.cli.asking import go_on, need_terminal
from bulkpoint.cli.output import emit, end_with, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import UsageError

if TYPE_CHECKING:
    from bulkpoint.rules.checks import Check
    from bulkpoint.settings import Settings

# Of the sandbox, which credits whoever is asked for.
TEST_MEMBER = "bulkpoint-doctor"


@click.command(short_help="Say whether this installation is able to pay, and what it lacks.")
@click.option("--money", is_flag=True, help="Also prove the money API's contract: it credits 1 point for real.")
@click.option("--adapter", is_flag=True, help="Also try the adapter with sample calls and replies; sends nothing.")
@click.option("--member", metavar="ID", help="The test member of --money. Needed for another machine's money API.")
@click.option("--yes", is_flag=True, help="With --money: do not ask. Required without a terminal.")
@json_option()
def doctor(*, money: bool, adapter: bool, member: str | None, yes: bool) -> None:
    """Say whether this installation is able to pay: a line for each check, with what was found and what to do.

    Looks at the settings and files, Java and Spark, the database with its grants and connections, and the way to the
    money API. Without --money it sends no request to the money API, and changes nothing. `campaign start`, `resume` and
    `retry` make the same checks before Spark starts. (`check` is another command: it says whether anything is wrong
    with campaigns.)

    --money is for a sandbox or staging. It makes at most ten calls, within the limit: the same key twice, another body
    under that key, look-ups. A member gets 1 point, which stays. The audit log says who did it.

    --adapter is for the adapter of BULKPOINT_MONEY_ADAPTER: equal calls must give equal requests, and a gateway's page
    must settle no payment. It sends nothing.

    Exit codes: 0 able to pay, also with warnings; 2 something must be changed; 6 something is out of reach, and trying
    later may help.

    \b
    Examples:
      bulkpoint doctor
      bulkpoint doctor --json
      bulkpoint doctor --adapter
      bulkpoint doctor --money --member test-0001
    """
    from bulkpoint.doctor.questions import error_of_problems
    from bulkpoint.launch.before_spark import check_everything
    from bulkpoint.views.doctor import DoctorView

    if not money and (member is not None or yes):
        raise UsageError("OPTION_OF_MONEY")
    checks = check_everything()
    if adapter:
        checks += _try_adapter(checks)
    if money:
        if error_of_problems(checks) is None:
            checks += _try_contract(member, yes=yes)
        else:
            say("The money API's contract is not tried before the problems are solved.")
    found = DoctorView.of(checks)
    error = error_of_problems(checks)
    if error is not None:
        end_with(found, error)
    emit(found)


def _try_adapter(checks: "list[Check]") -> "list[Check]":
    """Nothing where the settings or the adapter's own check have a problem: that says it."""
    from bulkpoint.doctor.adapter import try_adapter
    from bulkpoint.rules.checks import Verdict
    from bulkpoint.settings import load_settings

    in_the_way = {"settings", "money-secrets", "money-adapter"}
    if any(check.verdict is Verdict.PROBLEM and check.name in in_the_way for check in checks):
        return []
    return list(try_adapter(load_settings()))


def _try_contract(member: str | None, *, yes: bool) -> "list[Check]":
    from bulkpoint.doctor.contract import try_contract

    with open_session() as session:
        member_id = _test_member(session.settings, member)
        if not yes:
            _ask(session.settings, member_id)
        found = try_contract(
            session.connection, session.database_url, session.settings, member_id=member_id, actor=session.actor
        )
        return list(found)


def _test_member(settings: "Settings", member: str | None) -> str:
    from bulkpoint.addresses import is_this_machine
    from bulkpoint.rules.targets import check_row

    if member is None:
        if not is_this_machine(settings.money_url):
            raise UsageError("TEST_MEMBER_MISSING", url=settings.money_url)
        return TEST_MEMBER
    broken = check_row(member, 1, "-")
    if broken:
        raise UsageError("TEST_MEMBER_WRONG", why=broken[0].sentence)
    return member


def _ask(settings: "Settings", member_id: str) -> None:
    need_terminal()
    say(f"This credits 1 point to member {member_id} at {settings.money_url}, for real: it stays.")
    go_on("Is that a sandbox or staging, and a test member?")
