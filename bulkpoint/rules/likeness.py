"""Ids that look the same to a person and are not the same for a program: one member written in two ways."""

import unicodedata


def folded(member_id: str) -> str:
    """What ids that look the same have in common: forms of one letter (Unicode NFKC), and zeros before a number.

    회원 in one and in several characters, `Ａ１` and `A1`, `00123` and `123`.
    """
    if not member_id.isascii():
        member_id = unicodedata.normalize("NFKC", member_id)
    if member_id[:1] == "0" and member_id.isascii() and member_id.isdigit():
        return member_id.lstrip("0") or "0"
    return member_id


def caseless(member_id: str) -> str:
    """What ids have in common that differ at most in capital letters besides."""
    return folded(member_id).casefold()


def caseless_ascii(member_id: str) -> str:
    """The same for an id of ASCII characters, at a third of the time."""
    if member_id[0] == "0" and member_id.isdigit():
        return member_id.lstrip("0") or "0"
    return member_id.lower()
