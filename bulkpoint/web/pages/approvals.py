"""What waits for an approval, and what became of it."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
