"""One member over all campaigns, with the sentence to say."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
