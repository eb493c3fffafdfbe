"""Python's HTTP response, read as strictly as libcurl does.

http.client takes an interim answer other than 100 for the final one, so that the next call gets the answer to this one;
it takes a head that is cut off for a whole one, chunk sizes such as "-5", and lets two lengths contradict each other.
Here such an answer is none. Which connection may be used again, follows from what was read.
"""

import http.client
import re

# Of all lines before a body and after it. libcurl has the same bound.
HEAD_BYTES_MAX = 300_000

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\r\n\0]*)?\r?\n")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")


class StrictResponse(http.client.HTTPResponse):
    """Raises HTTPException for an answer that is not HTTP/1.1, IncompleteRead for one that is cut off."""

    _head_bytes = 0

    def begin(self) -> None:
        """Read the head of the final answer."""
        if self.headers is not None:
            return
        status = 100
        while status < 200:
            version, status, self.reason = self._read_status()
            headers = self._read_head()
            if status == 101:
                raise http.client.HTTPException("switched to another protocol, unasked")
        self.code = self.status = status
        self.version = version
        self.headers = self.msg = headers
        self._read_framing()

    def _read_status(self) -> tuple[int, int, str]:
        line = self._line()
        if not line.endswith(b"\n") and b"HTTP/1.1 "[: len(line)] == line[:9]:
            raise http.client.RemoteDisconnected("the connection was closed without an answer")
        matched = _STATUS_LINE.fullmatch(line)
        if matched is None:
            raise http.client.BadStatusLine(repr(line[:100]))
        return 10 + int(matched[1]), int(matched[2]), line[13:].strip().decode("latin-1")

    def _read_head(self) -> http.client.HTTPMessage:
        fields: list[tuple[str, str]] = []
        while (line := self._line()) not in (b"\r\n", b"\n"):
            if not line.endswith(b"\n"):
                raise http.client.IncompleteRead(line)
            if fields and line[:1] in b" \t":  # a value that goes on, as older servers write it
                name, value = fields[-1]
                fields[-1] = name, f"{value} {line.strip().decode('latin-1')}"
                continue
            matched = _HEADER_LINE.fullmatch(line)
            if matched is None:
                raise http.client.HTTPException(f"no header: {line[:100]!r}")
            fields.append((matched[1].decode(), matched[2].decode("latin-1")))
        headers = http.client.HTTPMessage()
        for name, value in fields:
            headers[name] = value
        return headers

    def _read_framing(self) -> None:
        """Where the body ends (RFC 9112, 6.3), and whether the connection may be used again."""
        coding = ", ".join(self.headers.get_all("transfer-encoding", [])).lower()
        lengths = {length.strip(" \t") for length in self.headers.get_all("content-length", [])}
        bodiless = self.status in (204, 304) or self._method == "HEAD"  # type: ignore[attr-defined]
        if coding not in ("", "chunked"):
            raise http.client.HTTPException(f"an encoding that nobody asked for: {coding[:100]}")
        if not coding and (len(lengths) > 1 or not all(re.fullmatch("[0-9]{1,18}", length) for length in lengths)):
            raise http.client.HTTPException("a length that is none")
        self.chunked = bool(coding) and not bodiless
        self.chunk_left = None
        self.length = 0 if bodiless else int(lengths.pop()) if lengths and not coding else None
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        closes = "close" in options or (self.version == 10 and "keep-alive" not in options)
        # Both a length and chunks: somebody on the way may have read it differently.
        self.will_close = closes or (self.length is None and not self.chunked) or bool(coding and lengths)

    def _get_chunk_left(self) -> int | None:
        """The rest of the present chunk, or the size of the next one; None after the last."""
        if self.chunk_left:
            return self.chunk_left
        if self.chunk_left is not None and self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]
            raise http.client.HTTPException("a chunk that is longer than its size")
        line = self._line()
        matched = _CHUNK_SIZE.fullmatch(line)
        if matched is None:
            if line.endswith(b"\n"):
                raise http.client.HTTPException(f"no size of a chunk: {line[:100]!r}")
            raise http.client.IncompleteRead(line)
        self.chunk_left = int(matched[1], 16) or None
        if self.chunk_left is None:
            self._read_head()  # the trailers, which nobody needs
            self._close_conn()  # type: ignore[attr-defined]
        return self.chunk_left

    def _line(self) -> bytes:
        line = self.fp.readline(HEAD_BYTES_MAX - self._head_bytes + 1)
        self._head_bytes += len(line)
        if self._head_bytes > HEAD_BYTES_MAX:
            raise http.client.HTTPException(f"more than {HEAD_BYTES_MAX:,} bytes of headers")
        return line
