"""A digest as people give it: what they looked at, against what is there."""

from string import hexdigits

from bulkpoint.errors import RefusedError, UsageError

DIGITS = 64
# As many hexadecimal digits of a digest as tell it from every other that a person will see.
DIGITS_MIN = 12


def check_digest(digest: str) -> None:
    """Raises UsageError for what cannot be a digest, nor the beginning of one."""
    if not (DIGITS_MIN <= len(digest) <= DIGITS and set(digest) <= set(hexdigits)):
        raise UsageError(
            f"--digest {digest[:80]!r} is no digest: give its {DIGITS} hexadecimal digits, or the first {DIGITS_MIN} of"
            " them at least. `bulkpoint campaign preview ID` shows it."
        )


def refuse_another_digest(campaign_id: int, found: bytes, wanted: str | None, asked: str) -> None:
    """Raises RefusedError where the targets have another digest than the one looked at; none was asked for: fine."""
    if wanted is not None and not found.hex().startswith(wanted.lower()):
        raise RefusedError(
            f"Campaign {campaign_id} cannot {asked}: its targets have the digest {found.hex()}, not the one given."
            f" They changed since they were looked at: look again (`bulkpoint campaign preview {campaign_id}`)."
        )
