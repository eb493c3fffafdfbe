"""What every page shows at its top while a campaign runs: which one, how far it is, and the way to stop it."""

from typing import Any

from bulkpoint.web.asked import Asked


def running(_asked: Asked) -> Any:
    """What templates/_stop_bar.html.j2 shows; None where nothing runs."""
    return None
