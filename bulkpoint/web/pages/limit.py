"""The limit: how many calls a second, who set it and why."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
