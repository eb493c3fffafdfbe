"""All campaigns: the queue with what stands in each one's way, filters, search."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
