"""A new campaign: a list is sent, looked at, and created on a second click."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
