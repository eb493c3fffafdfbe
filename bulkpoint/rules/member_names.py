"""Members as people see them: named in sentences about a run, masked for a login that has not the right `members`.

A halt's reason must name the member, or nobody finds the payment. The same reason goes to Slack and Kafka, which have
no member ids; so a name is marked where it is written, and taken out where the sentence leaves the system.
"""

import re
from dataclasses import dataclass

# What stands for the middle of an id, however long that is. No id may have it (rules/targets.py), so that nothing
# masked is ever taken for a member.
MASK = "••••"
# Of an id, at most so many characters are left at its beginning, and of a shorter one a third or less.
HEAD_MAX = 3
# Shorter ids show nothing, or no last character: of few characters each one tells too much.
HEAD_FROM = 6
TAIL_FROM = 8
# A shorter id is only masked where it stands for itself: every second figure has a 7 in it.
ANYWHERE_FROM = 6

_NAME = re.compile("«[^»]*»")
# A value that was cut is no id: ids are shorter.
_QUOTED = re.compile(r"""(['"])(.*)\1""", re.DOTALL)


def named(member_id: str) -> str:
    """A member in a reason: «m-1»."""
    return f"«{member_id.replace('«', '<').replace('»', '>')}»"


def without_members(reason: str) -> str:
    """The reason without the members that it names, for what leaves the system."""
    return _NAME.sub("***", reason)


def masked(member_id: str) -> str:
    """The id as a login without the right `members` sees it: `010••••8`. The same id always gives the same mask.

    Ids of fewer than 6 characters show none of them; many members have the same mask.
    """
    length = len(member_id)
    head = min(HEAD_MAX, (length - 2) // 3) if length >= HEAD_FROM else 0
    return member_id[:head] + MASK + (member_id[-1] if length >= TAIL_FROM else "")


def is_masked(text: str) -> bool:
    """Whether a text that should be an id is what `masked` made of one."""
    return MASK in text


def masked_value(shown: str) -> str:
    """A quoted value of a list (text.quoted), which may be an id, or a whole line with one somewhere in it."""
    found = _QUOTED.fullmatch(shown)
    return f"'{MASK if found is None else masked(found[2])}'"


def masked_in(text: str, member_id: str) -> str:
    """A text about a member, as the money API's answer, with the id masked wherever it is written."""
    if member_id not in text:
        return text
    found = re.escape(member_id)
    if len(member_id) < ANYWHERE_FROM:
        found = f"(?<![0-9A-Za-z]){found}(?![0-9A-Za-z])"
    return re.sub(found, masked(member_id).replace("\\", r"\\"), text)


@dataclass(frozen=True, slots=True)
class Eyes:
    """What one login may see of members: pass every id, and every text about a member, through it before it is shown.

    sees: whether the login has the right `members` (store/right.py, sees_members).
    """

    sees: bool

    def member(self, member_id: str) -> str:
        """The id, or its mask."""
        return member_id if self.sees else masked(member_id)

    def text(self, text: str, member_id: str) -> str:
        """A text about the member, as its reason or the money API's answer."""
        return text if self.sees else masked_in(text, member_id)

    def optional(self, text: str | None, member_id: str) -> str | None:
        """The same of a text that there may not be."""
        return None if text is None else self.text(text, member_id)
