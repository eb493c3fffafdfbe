"""A money API that only takes a payment with 202, and tells when asked what became of it (docs/money-adapter.md)."""

import json
from collections.abc import Mapping

from bulkpoint.money import answers
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import Answer, Credit


class AcceptAndPoll:
    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._headers = {"X-Api-Key": secrets["token"], "Content-Type": "application/json"}

    def pay(self, call: PointsCall) -> HttpRequest:
        body = json.dumps({"user": call.member_id, "points": call.amount, "memo": call.reason})
        return HttpRequest("PUT", f"/transfers/{call.key}", self._headers, body.encode())

    def look_up(self, call: PointsCall) -> HttpRequest:
        return HttpRequest("GET", f"/transfers/{call.key}", self._headers, None)

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        fields = json.loads(reply.body)  # what raises here counts as None
        error = fields.get("error")
        match reply.status, error or fields.get("status"):
            case 200, "DONE":
                return answers.credited(fields["id"], Credit(call.campaign_id, fields["user"], fields["points"]))
            case 200, "DECLINED":
                return answers.refused(fields["why"])
            case ((200 | 202), "QUEUED" | "WORKING"):  # when to ask is in Retry-After, which the engine reads by itself
                return answers.accepted()
            case 404, "NO_SUCH_TRANSFER":
                return answers.not_found()
            case 409, "OTHER_CONTENT":
                return answers.mismatch(error)
            case 401, "BAD_KEY":
                return answers.not_authorized(error)
            case 503, "BUSY":
                return answers.not_taken(error)
        return answers.unknown(error) if error else None

    read_look_up = read_pay  # PUT and GET give the same answers
