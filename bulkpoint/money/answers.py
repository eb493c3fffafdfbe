"""What an adapter can say of a reply: one function for each outcome. The engine knows what each of them means.

An adapter (adapter.py) reads a reply and returns one of these, or None for a reply that is not the money API's own: an
HTML page, another server's JSON. What the engine then does with the payment is one table, rules/answers.py.
"""

from bulkpoint.rules.answers import Answer, Credit, Outcome


def credited(transaction_id: str, credit: Credit | None = None) -> Answer:
    """The member has the points, now or since an earlier call with this key. The payment is SUCCESS.

    transaction_id: the API's own name of this one credit. An id that another payment has, or that says nothing (blank,
    "null", "0"), is not believed. credit: what the API says it credited, where it says so; it is compared with ours.
    """
    return Answer(Outcome.CREDITED, transaction_id, credit=credit)


def accepted(retry_after_s: float | None = None) -> Answer:
    """The API works on the payment: only ask (202 and polling). The payment is looked up later, and not sent again.

    retry_after_s: seconds until it is asked; None: as the reply's Retry-After says, else 2, 4, 8 ... seconds. A payment
    that is still not done when its tries are used up ends UNKNOWN, for `bulkpoint reconcile`.
    """
    return Answer(Outcome.ACCEPTED, retry_after_s=retry_after_s)


def refused(code: str, message: str | None = None) -> Answer:
    """The API refuses this payment, and would again: no such member, account closed. FAILED, kind REJECTED.

    Only where it surely credited nothing. code: stable, for `retry --code` and reports; message: for people.
    """
    return Answer(Outcome.REJECTED, code=code, message=message)


def in_progress(retry_after_s: float | None = None) -> Answer:
    """An earlier call with this key is not finished. The payment is sent again later, with the same key."""
    return Answer(Outcome.IN_PROGRESS, retry_after_s=retry_after_s)


def unknown(code: str | None = None, message: str | None = None) -> Answer:
    """The API broke, and may have credited before. The payment is sent again with the same key, then looked up."""
    return Answer(Outcome.SERVER_ERROR, code=code, message=message)


def unreadable(code: str | None = None, message: str | None = None) -> Answer:
    """An answer that contradicts itself or the request. Treated as `unknown`."""
    return Answer(Outcome.UNREADABLE, code=code, message=message)


def slow_down(retry_after_s: float | None = None) -> Answer:
    """Too many calls, nothing credited: all of us slow down, and the payment loses no try.

    retry_after_s: None: as the reply's Retry-After says.
    """
    return Answer(Outcome.THROTTLED, retry_after_s=retry_after_s)


def not_taken(code: str | None = None, message: str | None = None) -> Answer:
    """The API did not begin, and surely credited nothing; it may next time. Spent tries: kind UNAVAILABLE."""
    return Answer(Outcome.NOT_TAKEN, code=code, message=message)


def not_authorized(code: str | None = None, message: str | None = None) -> Answer:
    """Our credentials were refused. Where no call succeeds any more the run halts; else this payment is REJECTED."""
    return Answer(Outcome.UNAUTHORIZED, code=code, message=message)


def mismatch(code: str | None = None, message: str | None = None) -> Answer:
    """This key was used before with another member, amount or reason. The run halts."""
    return Answer(Outcome.MISMATCH, code=code, message=message)


def halt(message: str) -> Answer:
    """Nothing more may be sent: the run ends FAILED with this reason, and `resume` continues it.

    For what concerns every payment, as a budget that is used up. This payment counts as perhaps credited.
    """
    return Answer(Outcome.STOPPED, message=message)


def not_found() -> Answer:
    """Of a look-up: the API has nothing under this key. Some time after the last send that is proof of no credit."""
    return Answer(Outcome.NOT_FOUND)
