"""A request's body: read piece by piece, bounded in bytes, fields, files and time; a file goes straight to the disk.

Nothing is left of a body that ends early or is too large.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qsl

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from bulkpoint.web.uploads import Upload, has_room

FIELDS_MAX = 100
FIELD_BYTES_MAX = 64 * 1024
FILES_MAX = 1
# Beside the file: more than a person types.
FIELDS_BYTES_MAX = 1024 * 1024
UPLOAD_BYTES_MAX = 200 * 1024 * 1024
# What is too large is read to its end up to here: a browser shows no answer that comes while it still sends.
DRAINED_BYTES_MAX = 600 * 1024 * 1024
# A sender that is silent for so long has gone.
PIECE_S_MAX = 30.0
_HEADER_BYTES_MAX = 4 * 1024
_BATCH_BYTES = 1024 * 1024


class BodyTooLargeError(Exception):
    """A request has more bytes than its page takes."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max)
        self.bytes_max = bytes_max


class BodyUnreadableError(Exception):
    """A request's body ended early, or is no form."""


class BodyNotKeptError(Exception):
    """There is no room for the file that was sent; `why` is the system's reason, if it is the disk's."""

    def __init__(self, why: str | None = None) -> None:
        super().__init__(why)
        self.why = why


Fields = dict[str, list[str]]


async def read_body(request: Request, folder: Path, *, upload_bytes_max: int = 0) -> tuple[Fields, dict[str, Upload]]:
    """The fields of a form, and the file in it. upload_bytes_max: 0 where the form has none.

    Raises BodyTooLargeError, BodyUnreadableError, BodyNotKeptError.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    try:
        if kind == b"application/x-www-form-urlencoded":
            return _fields_of(await _whole(request, FIELDS_BYTES_MAX)), {}
        if kind == b"multipart/form-data" and 0 < len(options.get(b"boundary", b"")) <= 70:
            parts = _Parts(options[b"boundary"], folder, upload_bytes_max)
            return await _parts_of(request, parts, FIELDS_BYTES_MAX + upload_bytes_max)
    except (ClientDisconnect, TimeoutError) as error:
        raise BodyUnreadableError from error
    raise BodyUnreadableError


def _fields_of(body: bytes) -> Fields:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=FIELDS_MAX,
        )  # fmt: skip
    except ValueError as error:  # also what is no UTF-8, and too many fields
        raise BodyUnreadableError from error
    fields: Fields = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


async def _whole(request: Request, bytes_max: int) -> bytes:
    return b"".join([piece async for piece in _pieces(request, bytes_max)])


async def _parts_of(request: Request, parts: "_Parts", bytes_max: int) -> tuple[Fields, dict[str, Upload]]:
    """Parsed and written in a thread, a batch at a time: the disk may be slow, and all others wait for this loop."""
    try:
        batch = bytearray()
        async for piece in _pieces(request, bytes_max):
            batch += piece
            if len(batch) >= _BATCH_BYTES:
                await anyio.to_thread.run_sync(partial(parts.take, bytes(batch)))
                batch.clear()
        await anyio.to_thread.run_sync(partial(parts.take, bytes(batch), is_last=True))
    except BaseException:
        parts.drop()
        raise
    return parts.fields, parts.files


async def _pieces(request: Request, bytes_max: int) -> AsyncIterator[bytes]:
    announced = request.headers.get("content-length", "")
    is_too_large = announced.isdecimal() and int(announced) > bytes_max
    stream, read = request.stream(), 0
    while piece := await asyncio.wait_for(_next_of(stream), PIECE_S_MAX):
        read += len(piece)
        is_too_large = is_too_large or read > bytes_max
        if read > DRAINED_BYTES_MAX:
            break
        if not is_too_large:
            yield piece
    if is_too_large:
        raise BodyTooLargeError(bytes_max)


async def _next_of(stream: Any) -> bytes:
    """Empty at the end."""
    async for piece in stream:
        if piece:
            found: bytes = piece
            return found
    return b""


class _Parts:
    """The parts of a form, as they come: a field in memory, a file on the disk."""

    def __init__(self, boundary: bytes, folder: Path, upload_bytes_max: int) -> None:
        self.fields: Fields = {}
        self.files: dict[str, Upload] = {}
        self._folder = folder
        self._upload_bytes_max = upload_bytes_max
        self._left = FIELDS_MAX
        self._is_whole = False
        self._header = [bytearray(), bytearray()]
        self._head: dict[bytes, bytes] = {}
        self._name = ""
        self._field: bytearray | None = None
        self._file: IO[bytes] | None = None
        self._file_name = ""
        self._size = 0
        self._open = ExitStack()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": partial(self._add_to_header, 0),
                "on_header_value": partial(self._add_to_header, 1),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_data,
                "on_part_data": self._add,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def take(self, batch: bytes, *, is_last: bool = False) -> None:
        """More of the body. Raises BodyUnreadableError, also where the last of it is not the end of a form."""
        try:
            self._parser.write(batch)
        except FormParserError as error:
            raise BodyUnreadableError from error
        except OSError as error:
            raise BodyNotKeptError(error.strerror) from error
        if is_last and not self._is_whole:
            raise BodyUnreadableError

    def drop(self) -> None:
        """Nothing of it is left."""
        with suppress(OSError):  # a disk that is full refuses what was not written yet
            self._open.close()
        for upload in self.files.values():
            upload.remove()

    def _begin(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise BodyUnreadableError
        self._head = {}

    def _add_to_header(self, which: int, data: bytes, start: int, end: int) -> None:
        self._header[which] += data[start:end]
        if len(self._header[which]) > _HEADER_BYTES_MAX:
            raise BodyUnreadableError

    def _end_header(self) -> None:
        name, value = map(bytes, self._header)
        self._head[name.lower()] = value
        self._header = [bytearray(), bytearray()]

    def _begin_data(self) -> None:
        _, options = parse_options_header(self._head.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode(errors="replace")
        if b"filename" not in options:
            self._field = bytearray()
            return
        # A browser sends an empty file where none was chosen.
        self._file_name = PurePosixPath(options[b"filename"].decode(errors="replace").replace("\\", "/")).name[:200]
        self._size = 0
        if self._file_name:
            if len(self.files) >= (FILES_MAX if self._upload_bytes_max else 0):
                raise BodyUnreadableError
            self._file = self._new_file()

    def _new_file(self) -> IO[bytes]:
        """Under a name of our own that keeps only the ending, by which lists are told apart."""
        if not has_room(self._folder, self._upload_bytes_max):
            raise BodyNotKeptError
        ending = PurePosixPath(self._file_name).suffix.lower()
        suffix = ending if re.fullmatch(r"\.[a-z0-9]{1,8}", ending) else ""
        descriptor, path = tempfile.mkstemp(dir=self._folder, prefix="upload-", suffix=suffix)
        self.files[self._name] = Upload(self._file_name, Path(path), 0)
        return self._open.enter_context(os.fdopen(descriptor, "wb"))

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._field += data[start:end]
            if len(self._field) > FIELD_BYTES_MAX:
                raise BodyTooLargeError(FIELD_BYTES_MAX)
        elif self._file is not None:
            self._file.write(memoryview(data)[start:end])
            self._size += end - start
            if self._size > self._upload_bytes_max:
                raise BodyTooLargeError(self._upload_bytes_max)

    def _end(self) -> None:
        if self._field is not None:
            self.fields.setdefault(self._name, []).append(_text(self._field))
            self._field = None
        elif self._file is not None:
            self._file.close()
            self.files[self._name] = Upload(self._file_name, self.files[self._name].path, self._size)
            self._file = None

    def _finish(self) -> None:
        self._is_whole = True


def _text(field: bytearray) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise BodyUnreadableError from error
