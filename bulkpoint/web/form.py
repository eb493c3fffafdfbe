"""What a person has typed and uploaded: bounded, and read in one way only."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bulkpoint.errors import UsageError
from bulkpoint.web.uploads import Upload
from bulkpoint.web.words import web_words

_WHOLE = re.compile(r"[+-]?\d{1,18}")


@dataclass
class Form:
    """The fields of one form. Every reader names its bound, and raises UsageError for what cannot be.

    language: of the fields' labels in a sentence, `[fields]` of the words.
    """

    language: str = "ko"
    values: Mapping[str, list[str]] = field(default_factory=dict)
    files: Mapping[str, Upload] = field(default_factory=dict)

    def raw(self, name: str) -> str:
        """What was typed, as it was typed; empty where nothing was. For showing it again."""
        return (self.values.get(name) or [""])[0]

    def text(self, name: str, *, most: int, least: int = 0) -> str:
        """One text without the blanks around it; `most` and `least` are of its characters."""
        value = self.raw(name).strip().replace("\r\n", "\n")
        if not value and least:
            raise UsageError("FORM_FIELD_EMPTY", field=self.label(name))
        if len(value) > most:
            raise UsageError("FORM_TEXT_TOO_LONG", field=self.label(name), length=len(value), most=most)
        if len(value) < least:
            raise UsageError("FORM_TEXT_TOO_SHORT", field=self.label(name), least=least)
        if any(ord(character) < 0x20 and character not in "\n\t" for character in value) or "\x7f" in value:
            raise UsageError("FORM_TEXT_WITH_CONTROLS", field=self.label(name))
        return value

    def optional_text(self, name: str, *, most: int) -> str | None:
        """The same; None where nothing was typed."""
        return self.text(name, most=most) or None

    def number(self, name: str, *, least: int, most: int) -> int:
        """A whole number; commas between its thousands, and blanks, are taken away."""
        value = re.sub(r"[,\s_]", "", self.raw(name))
        if not value:
            raise UsageError("FORM_FIELD_EMPTY", field=self.label(name))
        if not _WHOLE.fullmatch(value):
            raise UsageError("FORM_NOT_A_NUMBER", field=self.label(name), given=self.raw(name)[:40])
        if not least <= int(value) <= most:
            raise UsageError("FORM_NUMBER_OUT_OF_RANGE", field=self.label(name), least=least, most=most)
        return int(value)

    def optional_number(self, name: str, *, least: int, most: int) -> int | None:
        """The same; None where nothing was typed."""
        return self.number(name, least=least, most=most) if self.raw(name).strip() else None

    def choice(self, name: str, among: Iterable[str]) -> str:
        """One of them."""
        value = self.raw(name)
        if value not in set(among):
            raise UsageError("FORM_NOT_A_CHOICE", field=self.label(name))
        return value

    def checked(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self.raw(name))

    def all(self, name: str) -> list[str]:
        """Every value of a name that a form may have several times."""
        return list(self.values.get(name, ()))

    def file(self, name: str) -> Upload:
        """The file that was sent; it goes when the request ends, unless the session keeps it."""
        found = self.files.get(name)
        if found is None:
            raise UsageError("FORM_FIELD_EMPTY", field=self.label(name))
        return found

    def has_token(self, token: str) -> bool:
        """Whether it is a form of that session's own page."""
        return secrets.compare_digest(self.raw("token").encode(), token.encode())

    def label(self, name: str) -> str:
        """What a field is called, on its label and in a sentence about it."""
        labels: dict[str, str] = web_words(self.language)["fields"]
        return labels.get(name, name)

    def remove_files(self, *, but: Iterable[object] = ()) -> None:
        """What no session keeps is there no more."""
        kept = set(but)
        for upload in self.files.values():
            if upload not in kept:
                upload.remove()
