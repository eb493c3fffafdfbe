"""The audit log."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
