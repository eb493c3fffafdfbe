"""What a command shows is a view: a model that prints itself as JSON for programs, and as lines for people.

A view is made from what the store read, by one function or model next to it, and has no connection. A field is added
in one place: its JSON, its line in docs/json.md and its part of the schema follow from the model.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from bulkpoint.views.format import utc_time

# RFC 3339 in UTC, with milliseconds, in JSON.
Moment = Annotated[
    datetime, PlainSerializer(utc_time, when_used="json"), WithJsonSchema({"type": "string", "format": "date-time"})
]
# For people only: not part of the JSON that others rely on.
NOT_IN_JSON = Field(exclude=True)
# Of a few: the JSON of all others is as it was before there was such a field.
LEFT_OUT_IF_NONE = Field(exclude_if=lambda value: value is None)


@dataclass(frozen=True)
class Screen:
    """What a text is for. timezone: of the times in it. width: cells of a terminal's line."""

    timezone: str = "UTC"
    width: int = 80


class View(BaseModel):
    """One JSON object, and its lines of text. printed_by: the commands that print it, as `campaign show`."""

    printed_by: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True)

    def as_object(self) -> dict[str, Any]:
        """What JSON has of it: times in UTC, amounts in points, null where there is nothing to say."""
        return self.model_dump(mode="json")

    def as_json(self) -> str:
        """On one line; letters of every alphabet as they are."""
        return json.dumps(self.as_object(), ensure_ascii=False)

    def as_text(self, screen: Screen) -> Iterable[str]:
        """The lines for people: a command's result."""
        raise NotImplementedError

    def remarks(self) -> Iterable[str]:
        """Lines for people that are not part of the result: what to do next."""
        return ()


class Line(View):
    """A view whose text is one line, whatever the screen."""

    def as_line(self) -> str:
        """The line."""
        raise NotImplementedError

    def as_text(self, screen: Screen) -> Iterable[str]:  # noqa: ARG002
        return [self.as_line()]
