"""From a reply to its meaning: asks the adapter where a reply is complete, and decides without it where none is."""

from datetime import UTC, datetime

from bulkpoint.money.adapter import Adapter
from bulkpoint.money.contract import OTHER_PAYMENT, PointsCall
from bulkpoint.money.transport import Reply
from bulkpoint.rules.answers import Answer, Credit, Outcome, foreign, unanswered
from bulkpoint.rules.retry import parse_retry_after


def read(adapter: Adapter, call: PointsCall, reply: Reply, *, look_up: bool) -> Answer:
    """What the reply to adapter.pay(call), or to look_up(call), says. Nothing that it contains makes this raise."""
    if reply.trouble is None and reply.retry_after is None and reply.status is not None:  # the usual case, and fast
        answer = _own(adapter, call, reply, look_up=look_up)
        return foreign(reply.status, retry_after_s=None) if answer is None else answer
    return _read_slowly(adapter, call, reply, look_up=look_up)


def _read_slowly(adapter: Adapter, call: PointsCall, reply: Reply, *, look_up: bool) -> Answer:
    retry_after_s = None
    if reply.retry_after is not None:
        retry_after_s = parse_retry_after(reply.retry_after, datetime.now(UTC))
        if retry_after_s is None:
            reply = reply._replace(retry_after=None)
    if reply.trouble is not None:
        return unanswered(reply.trouble, reply.status, message=reply.detail, retry_after_s=retry_after_s)
    if reply.status is None:
        return Answer(Outcome.UNREADABLE)
    answer = _own(adapter, call, reply, look_up=look_up)
    if answer is None:
        return foreign(reply.status, retry_after_s=retry_after_s)
    return answer._replace(retry_after_s=retry_after_s) if answer.retry_after_s is None else answer


def _own(adapter: Adapter, call: PointsCall, reply: Reply, *, look_up: bool) -> Answer | None:
    try:
        answer = adapter.read_look_up(call, reply) if look_up else adapter.read_pay(call, reply)
    except Exception as error:  # noqa: BLE001 (code of others, and the call has left: its attempt must be recorded)
        assert reply.status is not None, "an adapter reads complete replies"
        page = foreign(reply.status, retry_after_s=None)  # also here a 429 means "slower"
        return page._replace(code="ADAPTER_RAISED", message=type(error).__name__)
    if answer is None:
        return None
    if not isinstance(answer, Answer) or not isinstance(answer.outcome, Outcome):
        return Answer(Outcome.UNREADABLE, code="ADAPTER_RAISED", message=f"it returned {type(answer).__name__}")
    if answer.code is not None or answer.message is not None:  # as the API's JSON has them: a number, a list
        answer = answer._replace(code=_as_text(answer.code), message=_as_text(answer.message))
    if look_up or answer.credit is None:
        return answer
    is_ours = answer.credit == Credit(call.campaign_id, call.member_id, call.amount)
    return answer if is_ours else Answer(Outcome.UNREADABLE, code=OTHER_PAYMENT)


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)
