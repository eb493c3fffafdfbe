"""One campaign: what it is, how it goes, what may be done with it."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
