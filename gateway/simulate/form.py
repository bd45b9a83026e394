"""Read `multipart/form-data`: text fields and uploads. Pure. The parsing itself is `multipart`'s, in its strict mode.

A name that ends in `[]`, or that comes twice, is a list, as OpenAI's clients send lists.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] - typed inside, but says so nowhere

from gateway.errors import BadRequestError
from gateway.simulate.reply import Received

_MOST_PARTS = 256


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a form."""

    filename: str
    content_type: str
    content: bytes


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form's text fields (a list where a name came as one) and its files by name."""

    fields: dict[str, str | list[str]]
    files: dict[str, list[Upload]]

    def file(self, name: str) -> Upload:
        """Return the one file of this name.

        Raises:
            BadRequestError: there is none, or more than one; `param` is the name.
        """
        found = self.files.get(name, [])
        if len(found) != 1:
            message = f"'{name}' must be one uploaded file, with a filename; the form has {len(found)} of them."
            raise BadRequestError(message, param=name)
        return found[0]


def read(received: Received) -> Form:
    """Read a form.

    Raises:
        BadRequestError: the body is not `multipart/form-data`, or is broken.
    """
    kind, options = _options(received.content_type)
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        message = f"Send multipart/form-data with a boundary; this request's content-type is {received.content_type!r}."
        raise BadRequestError(message)
    fields: dict[str, str | list[str]] = {}
    files: dict[str, list[Upload]] = {}
    try:
        for segment, content in _segments(received.body, boundary):
            named = segment.name or ""
            name, listed = named.removesuffix("[]"), named.endswith("[]")
            if segment.filename is not None:
                kind = segment.content_type or "application/octet-stream"
                upload = Upload(filename=segment.filename, content_type=kind, content=content)
                files.setdefault(name, []).append(upload)
            else:
                fields[name] = _with(fields.get(name), content.decode(), listed=listed)
    except (MultipartError, UnicodeDecodeError) as error:
        message = f"We could not parse the multipart form of your request: {error}"
        raise BadRequestError(message) from error
    return Form(fields=fields, files=files)


def _options(header: str) -> tuple[str, dict[str, str]]:
    return parse_options_header(header)  # pyright: ignore[reportUnknownVariableType] - the library's types stop short of this


def _segments(body: bytes, boundary: str) -> Iterator[tuple[MultipartSegment, bytes]]:
    with PushMultipartParser(boundary, max_segment_count=_MOST_PARTS, strict=True) as parser:
        part: MultipartSegment | None = None
        content = bytearray()
        for said in parser.parse(body):
            if isinstance(said, MultipartSegment):
                part, content = said, bytearray()
            elif said is not None:
                content += said
            elif part is not None:
                yield part, bytes(content)


def _with(before: str | list[str] | None, text: str, *, listed: bool) -> str | list[str]:
    if before is None:
        return [text] if listed else text
    return [*([before] if isinstance(before, str) else before), text]
