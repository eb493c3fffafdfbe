"""The lines of a text file: UTF-8, UTF-16 or CP949. What is not UTF-8 is never guessed without a word.

UTF-16 says what it is by the mark at its beginning. CP949, the encoding of Korean Excel, has no mark and cannot be told
from others, so a person says that it is it, after a look at decoded rows.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bulkpoint.errors import RefusedError
from bulkpoint.intake.form import CP949, UTF_8, UTF_16
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.rules.refusals import Refusal

# The longest good line has some 2,600 bytes, quoted; this stops a file without line ends from being read as one line.
LINE_CHARACTERS_MAX = 65_536
BLOCK_BYTES = 2**17
BOM = "\ufeff"
ROWS_SHOWN = 2
_LINES = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_MARKS = ((b"\xef\xbb\xbf", UTF_8), (b"\xff\xfe", UTF_16), (b"\xfe\xff", UTF_16))
_LOOKED_AT_BYTES = 4_096
# Of the letters beyond ASCII in a text that is Korean, at least so many are common Hangul (measured: 0.9 and more).
_KOREAN_SHARE = 0.8


class Text:
    """One text file, read once from its beginning. encoding: what it is read as."""

    def __init__(self, path: Path, stream: IO[bytes], asked: str | None, problems: Problems) -> None:
        """Raises RefusedError where the beginning contradicts what was asked for, or is UTF-16 without its mark."""
        self._path, self._stream, self._problems = path, stream, problems
        self._asked = asked
        self._lines_before = 0
        self._non_ascii_seen = False
        self.line_cut: int | None = None  # the last line's number, if it has no line end
        start = stream.read(_LOOKED_AT_BYTES)
        stream.seek(0)
        self.encoding, self._codec = self._find(start)

    def lines(self) -> Iterator[str]:
        """Lines with their ends: LF, CR LF or CR, also mixed. One that cannot be decoded is a problem, and is empty.

        Raises RefusedError for a line without end, and for a file that is not in its encoding.
        """
        blocks = self._wide_blocks() if self.encoding == UTF_16 else self._blocks()
        first = True
        for block in blocks:
            lines = list(io.StringIO(block.lstrip(BOM) if first else block, newline=""))
            first = False
            if not lines:
                continue
            if max(map(len, lines)) > LINE_CHARACTERS_MAX:
                at = next(at for at, line in enumerate(lines, 1) if len(line) > LINE_CHARACTERS_MAX)
                self._refuse_long_line(self._lines_before + at)
            self._lines_before += len(lines)
            self.line_cut = None if lines[-1].endswith(("\n", "\r")) else self._lines_before
            yield from lines

    def _find(self, start: bytes) -> tuple[str, str]:
        marked = next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)
        if marked is not None and self._asked not in (None, marked):
            raise RefusedError("ENCODING_DIFFERS", "leave_out_encoding", **self._encodings(marked))
        if marked == UTF_16:
            return UTF_16, "utf-16-le" if start.startswith(b"\xff\xfe") else "utf-16-be"
        if marked == UTF_8:
            return UTF_8, UTF_8
        even, odd = start[0::2].count(0), start[1::2].count(0)
        if self._asked == UTF_16:
            if not even and not odd:
                raise RefusedError("ENCODING_NOT_THAT", "leave_out_encoding", **self._encodings(UTF_16))
            return UTF_16, "utf-16-le" if odd >= even else "utf-16-be"
        # ASCII in UTF-16 has a NUL in every pair, on the same side; U+AC00 (가) has it on the other. In UTF-8 a NUL
        # stands alone.
        if min(even, odd) * 4 < max(even, odd) and max(even, odd) * 5 > len(start) // 2:
            self._propose(start, UTF_16, "utf-16-le" if odd > even else "utf-16-be")
        encoding = self._asked or UTF_8
        return encoding, encoding

    def _encodings(self, found: str) -> dict[str, str]:
        return {"file": self._path.name, "found": found.upper(), "asked": (self._asked or "").upper()}

    def _blocks(self) -> Iterator[str]:
        """Text up to a line end, block by block, of an encoding whose bytes can be cut at line ends."""
        rest = b""
        while block := self._stream.read(BLOCK_BYTES):
            rest += block
            # A CR at the very end may be the first half of CR LF.
            cut = rest.rfind(b"\n") + 1 or rest.rfind(b"\r", 0, -1) + 1
            if not cut:
                if len(rest) > 4 * LINE_CHARACTERS_MAX:
                    self._refuse_long_line(self._lines_before + 1)
                continue
            yield self._decoded(rest[:cut])
            rest = rest[cut:]
        if rest:
            yield self._decoded(rest)

    def _decoded(self, raw: bytes) -> str:
        if self._asked == CP949 and not self._non_ascii_seen and not raw.isascii():
            self._refuse_utf_8_as_cp949(raw)
        try:
            text = raw.decode(self._codec)
        except UnicodeDecodeError:
            return self._decoded_by_line(raw)
        self._non_ascii_seen = self._non_ascii_seen or not raw.isascii()
        return text

    def _decoded_by_line(self, raw: bytes) -> str:
        texts = []
        for number, line in enumerate(_LINES.findall(raw), self._lines_before + 1):
            try:
                texts.append(line.decode(self._codec))
                self._non_ascii_seen = self._non_ascii_seen or not line.isascii()
            except UnicodeDecodeError as error:
                if self._asked in (None, UTF_8) and not self._non_ascii_seen:
                    self._refuse_not_utf_8(raw, number, error.start + 1)
                rule = f"The line is not {self.encoding.upper()} from its byte {error.start + 1} on."
                self._problems.add(number, "", rule)
                texts.append("\n")  # reported; an empty line has no target
        return "".join(texts)

    def _wide_blocks(self) -> Iterator[str]:
        """The same for UTF-16, whose line ends are two bytes long."""
        rest, taken = b"", 0
        while True:
            block = self._stream.read(BLOCK_BYTES)
            raw = rest + block
            whole = raw if not block else raw[: len(raw) // 2 * 2]
            cut = _last_wide(whole, "\n".encode(self._codec)) if block else len(whole)
            if block and not cut:
                if len(raw) > 4 * LINE_CHARACTERS_MAX:
                    self._refuse_long_line(self._lines_before + 1)
                rest = raw
                continue
            try:
                text = whole[:cut].decode(self._codec)
            except UnicodeDecodeError as error:
                facts = {"file": self._path.name, "encoding": UTF_16.upper(), "byte": taken + error.start + 1}
                raise RefusedError("FILE_NOT_IN_ENCODING", "copy_again", **facts) from error
            if text:
                yield text
            if not block:
                return
            taken += cut
            rest = raw[cut:]

    def _refuse_utf_8_as_cp949(self, raw: bytes) -> None:
        """UTF-8 is often good CP949 too, and other letters; the reverse is as good as impossible."""
        try:
            raw.decode(UTF_8)
        except UnicodeDecodeError:
            return
        raise RefusedError("ENCODING_DIFFERS", "leave_out_encoding", **self._encodings(UTF_8))

    def _refuse_not_utf_8(self, raw: bytes, row: int, byte: int) -> None:
        if all(_decodes(line, CP949) for line in _LINES.findall(raw)[:-1]):
            self._propose(raw, CP949, CP949, self._lines_before)
        raise RefusedError("FILE_NOT_UTF_8", "save_as_utf_8", file=self._path.name, row=row, byte=byte)

    def _propose(self, raw: bytes, encoding: str, codec: str, lines_before: int = 0) -> None:
        """Refuse with two rows as they would read, if there are any, for a person to judge."""
        if encoding == UTF_16:
            rows = list(enumerate(raw.decode(codec, "replace").splitlines(), 1))
        else:
            numbered = enumerate(_LINES.findall(raw), lines_before + 1)
            rows = [(row, line.decode(codec)) for row, line in numbered if not line.isascii() and _decodes(line, codec)]
        if not rows:
            return
        shown = tuple(
            Refusal("DECODED_ROW", {"row": row, "text": shorten(text.rstrip())}) for row, text in rows[:ROWS_SHOWN]
        )
        facts = {"file": self._path.name, "encoding": encoding.upper(), "option": encoding, "lines": shown}
        if encoding == UTF_16 or _looks_korean("".join(text for _, text in rows)):
            raise RefusedError("FILE_PERHAPS_ANOTHER_ENCODING", "name_encoding", **facts)
        raise RefusedError("FILE_HARDLY_CP949", "name_encoding_if_right", **facts)

    def _refuse_long_line(self, row: int) -> None:
        raise RefusedError(
            "LINE_TOO_LONG", "check_line_ends", file=self._path.name, row=row, characters_max=LINE_CHARACTERS_MAX
        )


def _last_wide(raw: bytes, end: bytes) -> int:
    """Where the last line of UTF-16 ends, in bytes; 0: nowhere. The two bytes may also stand across two letters."""
    at = raw.rfind(end)
    while at > 0 and at % 2:
        at = raw.rfind(end, 0, at + 1)
    return 0 if at % 2 else at + 2


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _looks_korean(text: str) -> bool:
    letters = [letter for letter in text if ord(letter) > 127 and letter.isalpha()]
    common = [letter for letter in letters if "가" <= letter <= "힣" and len(letter.encode("euc_kr")) == 2]
    return bool(letters) and len(common) >= _KOREAN_SHARE * len(letters)
