"""A money API that takes signed forms and answers everything with 200 and a resultCode; see docs/money-adapter.md."""

import hmac
import json
from collections.abc import Mapping
from urllib.parse import urlencode

from bulkpoint.money import answers
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import HttpRequest, Reply
from bulkpoint.rules.answers import Answer, Credit


class SignedForm:
    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._merchant, self._key = secrets["merchant"], secrets["sign_key"].encode()
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}

    def pay(self, call: PointsCall) -> HttpRequest:
        return self._signed("/pay.do", call, userId=call.member_id, amount=call.amount, memo=call.reason)

    def look_up(self, call: PointsCall) -> HttpRequest:
        return self._signed("/query.do", call)

    def _signed(self, path: str, call: PointsCall, **fields: object) -> HttpRequest:
        form = urlencode({"merchantId": self._merchant, "orderId": call.key, **fields})
        sign = hmac.new(self._key, form.encode(), "sha256").hexdigest()
        return HttpRequest("POST", path, self._headers, f"{form}&sign={sign}".encode())

    def read_pay(self, call: PointsCall, reply: Reply) -> Answer | None:
        fields = json.loads(reply.body)  # what raises here counts as None
        match reply.status == 200 and fields.get("resultCode"):
            case "0000":
                amount = int(fields["amount"])
                return answers.credited(fields["tid"], Credit(call.campaign_id, fields["userId"], amount))
            case "1001" | "1002" as code:  # no such user, account closed
                return answers.refused(code, fields.get("resultMsg"))
            case "2001" as code:  # this orderId had another user or amount
                return answers.mismatch(code)
            case "3001":  # of /query.do: no such orderId
                return answers.not_found()
            case "9001":
                return answers.slow_down()
            case "9002" as code:  # wrong signature or merchant
                return answers.not_authorized(code)
            case code:
                return answers.unknown(code) if code else None

    read_look_up = read_pay  # the same fields and codes
