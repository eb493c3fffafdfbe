"""The payments of one campaign, paged by key."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
