"""`bulkpoint doctor`: is this installation able to pay?"""

import click

from bulkpoint.cli.output import emit, end_with, json_option


@click.command(short_help="Say whether this installation is able to pay, and what it lacks.")
@json_option()
def doctor() -> None:
    """Say whether this installation is able to pay: a line for each check, with what was found and what to do.

    Looks at the settings and files, Java and Spark, the database with its grants and connections, and the way to the
    money API. Sends no request to the money API, and changes nothing. `campaign start`, `resume` and `retry` make the
    same checks before Spark starts. (`check` is another command: it says whether anything is wrong with campaigns.)

    Exit codes: 0 able to pay, also with warnings; 2 something must be changed; 6 something is out of reach, and trying
    later may help.

    \b
    Examples:
      bulkpoint doctor
      bulkpoint doctor --json
    """
    from bulkpoint.doctor.questions import error_of_problems
    from bulkpoint.launch.before_spark import check_everything
    from bulkpoint.views.doctor import DoctorView

    checks = check_everything()
    found = DoctorView.of(checks)
    error = error_of_problems(checks)
    if error is not None:
        end_with(found, error)
    emit(found)
