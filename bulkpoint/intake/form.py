"""How a file says what we need, as a person gives it: encoding, delimiter, names of columns, sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bulkpoint.errors import UsageError
from bulkpoint.text import quoted

UTF_8, UTF_16, CP949 = "utf-8", "utf-16", "cp949"
# Names that programs and people use for the three. EUC-KR is a part of CP949.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "utf-8-sig"), UTF_8),
    **dict.fromkeys(("utf-16", "utf16"), UTF_16),
    **dict.fromkeys(("cp949", "949", "ms949", "uhc", "euc-kr", "euckr"), CP949),
}
DELIMITER_NAMES = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
_SHOWN_MAX = 60  # characters of a wrong option


@dataclass(frozen=True)
class ListForm:
    """What a person says about a file's form; None and empty: it is found out, or is the plain case.

    encoding: one of UTF_8, UTF_16, CP949. delimiter: one character. columns: our name to the file's. sheet: a name.
    """

    encoding: str | None = None
    delimiter: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None

    def name_of(self, column: str) -> str:
        """The file's name of our column."""
        return self.columns.get(column, column)

    def given(self) -> dict[str, object]:
        """What a person said, without what was left out; as the audit log keeps it."""
        said = {
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "columns": dict(self.columns),
            "sheet": self.sheet,
        }
        return {name: value for name, value in said.items() if value}

    @classmethod
    def of_options(
        cls,
        *,
        ours: Sequence[str],
        encoding: str | None = None,
        delimiter: str | None = None,
        columns: str | None = None,
        sheet: str | None = None,
    ) -> "ListForm":
        """From --encoding, --delimiter (a character or its name), --columns ours=theirs,..., --sheet.

        `ours`: the columns that may be mapped. Raises UsageError for a value that none of these can have.
        """
        return cls(
            None if encoding is None else _encoding_of(encoding),
            None if delimiter is None else _delimiter_of(delimiter),
            {} if columns is None else columns_of(columns, ours),
            sheet,
        )


PLAIN_FORM = ListForm()


def delimiter_name(delimiter: str) -> str:
    """As --delimiter takes it and messages say it: `tab`, and other characters in quotes."""
    names = {character: name for name, character in DELIMITER_NAMES.items()}
    return names.get(delimiter, repr(delimiter))


def columns_of(text: str, ours: Sequence[str]) -> dict[str, str]:
    """`member_id=회원번호,amount=금액`: our names to the file's, of which one may have a comma in it.

    Raises UsageError where a name is not ours, is there twice, or stands for two.
    """
    pairs: list[str] = []
    for part in text.split(","):
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f",{part}"
    mapped: dict[str, str] = {}
    for pair in pairs:
        our, sign, their = (part.strip() for part in pair.partition("="))
        if not (sign and their and our in ours) or our in mapped or their in mapped.values():
            raise UsageError(
                "MAPPING_WRONG", option="--columns", value=quoted(pair, _SHOWN_MAX), allowed=tuple(map(str, ours))
            )
        mapped[our] = their
    return mapped


def _encoding_of(text: str) -> str:
    found = ENCODINGS.get(text.strip().lower().replace("_", "-"))
    if found is None:
        raise UsageError("ENCODING_NOT_KNOWN", given=quoted(text, _SHOWN_MAX), encodings=(UTF_8, CP949, UTF_16))
    return found


def _delimiter_of(text: str) -> str:
    found = {**DELIMITER_NAMES, "\\t": "\t"}.get(text.lower(), text)
    # What stands in values, ends a line or a quote, or would be cut off at the ends of one, cannot separate them.
    if len(found) != 1 or found.isalnum() or found in "\"\r\n\0-_'" or "\ud800" <= found <= "\udfff":
        raise UsageError("DELIMITER_IMPOSSIBLE", given=quoted(text, _SHOWN_MAX), names=tuple(DELIMITER_NAMES))
    return found
