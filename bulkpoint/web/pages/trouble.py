"""What needs a person: what `check` says, each with the button that mends it."""

from starlette.routing import BaseRoute

from bulkpoint.web.asked import Asked


def count_of(_asked: Asked) -> int:
    """How many things need a person now, for the badge in the navigation of every page."""
    return 0


routes: list[BaseRoute] = []
