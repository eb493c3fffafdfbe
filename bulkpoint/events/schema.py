"""The data of each type of event, as others may rely on it; `python -m bulkpoint.events.schema` prints the JSON Schema.

docs/events.md shows that schema, and a test compares the two. Fields may be added; no field is removed or changes its
meaning without another `version`. Amounts are points; times are RFC 3339 in UTC.
"""

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from bulkpoint.events.envelope import Corrected, Ended, Envelope


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Created(_Data):
    """A campaign was created. Its targets may not be loaded yet."""

    name: str
    expected_count: int = Field(gt=0)
    expected_amount: int = Field(gt=0)
    not_before: datetime | None


class Approved(_Data):
    """A second login approved exactly these targets. A start with any other target is refused."""

    count: int = Field(gt=0)
    amount: int = Field(gt=0)
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    creator: str


class Rejected(_Data):
    """A second login said why it is not to be paid. It waits, and does not start until it is approved."""

    name: str
    reason: str
    creator: str


class Withdrawn(_Data):
    """A waiting campaign was taken out of the queue permanently."""

    reason: str


class Forced(_Data):
    """A start was forced before its turn in the queue. `campaign.started` follows."""

    name: str
    reason: str


class Begun(_Data):
    """A run started. same_as: an earlier campaign with the same list, on purpose. open: what a RESUME goes on with. The
    last five: only for a RETRY.
    """

    kind: str = Field(pattern="^(INITIAL|RESUME|RETRY)$")
    target_count: int = Field(gt=0)
    target_amount: int = Field(gt=0)
    reason: str | None = None
    same_as: int | None = None
    open: int | None = None
    open_amount: int | None = None
    retried: int | None = None
    retried_amount: int | None = None
    kinds: list[str] | None = None
    code: str | None = None
    beyond_limit: bool | None = None


class Progressed(_Data):
    """25, 50 or 75 % of the campaign's payments have ended. Each is published once. failed includes unknown."""

    percent: int = Field(ge=25, le=75)
    target_count: int
    success: int
    failed: int
    unknown: int
    open: int


class TpsChanged(_Data):
    """The limit changed. It belongs to the deployment (campaign_id 0). until: when it changes to tps_afterwards."""

    tps: int = Field(ge=0)
    tps_before: int = Field(ge=0)
    reason: str | None
    until: datetime | None
    tps_afterwards: int | None


DATA: dict[str, type[BaseModel]] = {
    "campaign.created": Created,
    "campaign.approved": Approved,
    "campaign.rejected": Rejected,
    "campaign.withdrawn": Withdrawn,
    "campaign.forced": Forced,
    "campaign.started": Begun,
    "campaign.resumed": Begun,
    "campaign.retried": Begun,
    "campaign.progressed": Progressed,
    "campaign.completed": Ended,
    "campaign.failed": Ended,
    "campaign.stopped": Ended,
    "campaign.corrected": Corrected,
    "tps.changed": TpsChanged,
}


def json_schema() -> dict[str, Any]:
    """The schema of a whole event: the envelope, and its data by its type."""
    schema = Envelope.model_json_schema()
    models = {model.__name__: model.model_json_schema() for model in DATA.values()}
    for model in models.values():
        model.pop("title", None)
    schema["properties"]["type"]["enum"] = list(DATA)
    schema["$defs"] = models
    schema["allOf"] = [
        {
            "if": {"properties": {"type": {"const": kind}}},
            "then": {"properties": {"data": {"$ref": f"#/$defs/{model.__name__}"}}},
        }
        for kind, model in DATA.items()
    ]
    return schema


def schema_text() -> str:
    """The same for people: a line for each property, each type's data and each rule."""
    parts = []
    for key, value in json_schema().items():
        if isinstance(value, dict):
            lines = [f"  {json.dumps(name)}: {_line(part)}" for name, part in value.items()]
            parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            parts.append(f"{json.dumps(key)}: [\n" + ",\n".join(f"  {_line(rule)}" for rule in value) + "\n]")
        else:
            parts.append(f"{json.dumps(key)}: {_line(value)}")
    return "{\n" + ",\n".join(parts) + "\n}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(schema_text())
