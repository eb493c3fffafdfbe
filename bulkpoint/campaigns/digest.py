"""A digest as people type it, compared with the digest of the present targets."""

from string import hexdigits

from bulkpoint.campaigns.readiness import not_ready
from bulkpoint.errors import UsageError
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.refusals import Refusal

DIGITS = 64
# Enough hexadecimal digits to distinguish a digest from every other that a person will see.
DIGITS_MIN = 12
_SHOWN_MAX = 80  # characters of a wrong digest


def check_digest(digest: str) -> None:
    """Raises UsageError for text that is neither a digest nor the beginning of one."""
    if not (DIGITS_MIN <= len(digest) <= DIGITS and set(digest) <= set(hexdigits)):
        facts = {"digest": digest[:_SHOWN_MAX], "digits": DIGITS, "digits_min": DIGITS_MIN}
        raise UsageError("DIGEST_IMPOSSIBLE", "preview_shows_digest", **facts)


def refuse_another_digest(campaign_id: int, found: bytes, wanted: str | None, command: Command) -> None:
    """Raises RefusedError if the targets have another digest than the one looked at; wanted None accepts any."""
    if wanted is not None and not found.hex().startswith(wanted.lower()):
        facts = {"campaign_id": campaign_id, "digest": found}
        raise not_ready(campaign_id, Refusal("DIGEST_DIFFERS", facts, ("look_again",)), command)
