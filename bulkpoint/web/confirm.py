"""What a dangerous act asks for: the campaign's number, typed by hand, and a reason."""

from bulkpoint.errors import UsageError
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.web.form import Form

REASON_CHARACTERS_MAX = 500


def confirmed(form: Form, campaign_id: int) -> str:
    """The reason of an act whose form has the fields `number` and `reason`.

    Raises UsageError where the number is another campaign's, and where either is missing.
    """
    if form.number("number", least=1, most=BIGINT_MAX) != campaign_id:
        raise UsageError("FORM_OTHER_CAMPAIGN", campaign_id=campaign_id)
    return form.text("reason", least=1, most=REASON_CHARACTERS_MAX)
