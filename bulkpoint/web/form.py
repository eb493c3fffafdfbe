"""What a person has typed and uploaded: bounded, and read in one way only."""

import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from bulkpoint.errors import UsageError
from bulkpoint.web.words import web_words

FIELDS_MAX = 100
FIELD_BYTES_MAX = 64 * 1024
FILES_MAX = 1
# Beside the file: every field at its longest would be more than a person types.
BODY_BYTES_MAX = 1024 * 1024
UPLOAD_BYTES_MAX = 200 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_WHOLE = re.compile(r"[+-]?\d{1,18}")


class BodyTooLargeError(Exception):
    """A request has more bytes than its page takes."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max)
        self.bytes_max = bytes_max


class BodyUnreadableError(Exception):
    """A request's body ended early, or is no form."""


@dataclass(frozen=True)
class Upload:
    """A file that a person has sent. name: as it was called there, for people only; path: where it is till removed."""

    name: str
    path: Path
    bytes: int

    def remove(self) -> None:
        """It is there no more."""
        with suppress(FileNotFoundError):
            self.path.unlink()


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
            raise UsageError("FORM_FIELD_EMPTY", field=self._label(name))
        if len(value) > most:
            raise UsageError("FORM_TEXT_TOO_LONG", field=self._label(name), length=len(value), most=most)
        if len(value) < least:
            raise UsageError("FORM_TEXT_TOO_SHORT", field=self._label(name), least=least)
        if any(ord(character) < 0x20 and character not in "\n\t" for character in value) or "\x7f" in value:
            raise UsageError("FORM_TEXT_WITH_CONTROLS", field=self._label(name))
        return value

    def optional_text(self, name: str, *, most: int) -> str | None:
        """The same; None where nothing was typed."""
        return self.text(name, most=most) or None

    def number(self, name: str, *, least: int, most: int) -> int:
        """A whole number; commas between its thousands, and blanks, are taken away."""
        value = re.sub(r"[,\s_]", "", self.raw(name))
        if not value:
            raise UsageError("FORM_FIELD_EMPTY", field=self._label(name))
        if not _WHOLE.fullmatch(value):
            raise UsageError("FORM_NOT_A_NUMBER", field=self._label(name), given=self.raw(name)[:40])
        if not least <= int(value) <= most:
            raise UsageError("FORM_NUMBER_OUT_OF_RANGE", field=self._label(name), least=least, most=most)
        return int(value)

    def optional_number(self, name: str, *, least: int, most: int) -> int | None:
        """The same; None where nothing was typed."""
        return self.number(name, least=least, most=most) if self.raw(name).strip() else None

    def choice(self, name: str, among: Iterable[str]) -> str:
        """One of them."""
        value = self.raw(name)
        if value not in set(among):
            raise UsageError("FORM_NOT_A_CHOICE", field=self._label(name))
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
            raise UsageError("FORM_FIELD_EMPTY", field=self._label(name))
        return found

    def has_token(self, token: str) -> bool:
        """Whether it is a form of that session's own page."""
        return secrets.compare_digest(self.raw("token").encode(), token.encode())

    def _label(self, name: str) -> str:
        labels: dict[str, str] = web_words(self.language)["fields"]
        return labels.get(name, name)

    def remove_files(self, *, but: Iterable[Upload] = ()) -> None:
        """What no session keeps is there no more."""
        kept = set(but)
        for upload in self.files.values():
            if upload not in kept:
                upload.remove()


async def read_form(request: Request, folder: Path, *, language: str, takes_file: bool) -> Form:
    """The form of a request. folder: where an uploaded file is put.

    Raises BodyTooLargeError, BodyUnreadableError.
    """
    bytes_max = BODY_BYTES_MAX + (UPLOAD_BYTES_MAX if takes_file else 0)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream: Any = _bounded(request.stream(), bytes_max)
    limits: dict[str, Any] = {"max_fields": FIELDS_MAX, "max_part_size": FIELD_BYTES_MAX}
    try:
        if kind == "application/x-www-form-urlencoded":
            parsed = await FormParser(request.headers, stream, **limits).parse()
        elif kind == "multipart/form-data":
            parsed = await MultiPartParser(
                request.headers, stream, max_files=FILES_MAX if takes_file else 0, **limits
            ).parse()
        else:
            raise BodyUnreadableError
    except MultiPartException as error:
        raise BodyUnreadableError from error
    values: dict[str, list[str]] = {}
    files: dict[str, Upload] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, UploadFile):
            if value.filename:
                files[name] = await _put(value, folder)
        else:
            values.setdefault(name, []).append(value)
    await parsed.close()
    return Form(language, values, files)


async def _bounded(stream: AsyncIterator[bytes], bytes_max: int) -> AsyncIterator[bytes]:
    read = 0
    async for piece in stream:
        read += len(piece)
        if read > bytes_max:
            raise BodyTooLargeError(bytes_max)
        yield piece


async def _put(sent: UploadFile, folder: Path) -> Upload:
    """The file under a name of our own that keeps only the ending, by which lists are told apart."""
    name = PurePosixPath((sent.filename or "").replace("\\", "/")).name
    ending = PurePosixPath(name).suffix.lower()
    suffix = ending if re.fullmatch(r"\.[a-z0-9]{1,8}", ending) else ""
    size = 0
    with tempfile.NamedTemporaryFile(dir=folder, prefix="upload-", suffix=suffix, delete=False) as stream:
        while piece := await sent.read(_PIECE_BYTES):
            stream.write(piece)
            size += len(piece)
    return Upload(name[:200], Path(stream.name), size)
