"""The head of one part of a form: which field it is, and whether that field is read here. Pure.

Law: names, encodings and types that servers are known to read in different ways are refused where it could matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NoReturn

import msgspec

from gateway.errors import BadRequestError
from gateway.proxy.wire import FORBIDDEN_FIELDS

READ = frozenset({"model", "user", "safety_identifier", "stream", "n", "metadata[user_id]"})
MAX_HEADERS = 16

_ROOTS = frozenset({"model", "user", "safety_identifier", "stream", "_charset_", *FORBIDDEN_FIELDS})
"""What no other field's name may look like; `_charset_` would change how all of them are read (RFC 7578, 4.6)."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = r'[ \t]*;[ \t]*([A-Za-z]+\*?)=(?:"([^"]*)"|([^\s";,]+))'
_DISPOSITION = re.compile(rf"[ \t]*form-data((?:{_PARAMETER})+)[ \t]*", re.IGNORECASE)
_PARAMETERS = re.compile(_PARAMETER)
_DECODED = re.compile(r"[\\'`<>%&;=?]")
"""What may quote or encode: `'model'`, `mode%6c`, `=?utf-8?q?model?=`."""
_PLAIN = re.compile(rb'text/plain(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii)"?)?', re.IGNORECASE)
_ESSENCE = re.compile(rb"[!#$&'*+.^_`|~0-9a-z/-]*")
_IDENTITY = frozenset({b"7bit", b"8bit", b"binary"})
_SHOWN_CHARACTERS = 100


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part: its field's name, whether it is a file, and whether its value is read here."""

    name: str
    is_file: bool
    is_read: bool


def part_of(head: bytes) -> Part:
    """Read a part's head, without the empty line that ends it.

    Raises:
        BadRequestError: it is none of a form's, or could be read as another field's; `param` names the field.
    """
    headers = _headers(head)
    if headers.get(b"content-transfer-encoding", b"binary").lower() not in _IDENTITY:
        refuse("a part has a content-transfer-encoding; send its bytes as they are")
    kind = headers.get(b"content-type", b"text/plain")
    essence = kind.partition(b";")[0].strip().lower()
    if b"multipart" in essence or not _ESSENCE.fullmatch(essence):
        refuse("a part is a multipart body itself, or of no type at all; send each file as a part of its own")
    name, is_file = _named(headers.get(b"content-disposition"))
    is_read = name in READ
    if is_read and (is_file or not _PLAIN.fullmatch(kind)):
        message = f"The form's field {name!r} must be plain text in UTF-8, and no file."
        raise BadRequestError(message, param=name, code="invalid_type")
    if not is_read:
        _refuse_look_alike(name)
    return Part(name=name, is_file=is_file, is_read=is_read)


def _headers(head: bytes) -> Mapping[bytes, bytes]:
    lines = head.split(b"\r\n")
    if len(lines) > MAX_HEADERS:
        refuse(f"a part has more than {MAX_HEADERS} headers")
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or any(byte < 32 and byte != 9 for byte in value):
            refuse("a part's headers are not 'name: value' lines")
        if name.lower() in headers:
            refuse("a part has the same header twice")
        headers[name.lower()] = value.strip(b" \t")
    return headers


def _named(disposition: bytes | None) -> tuple[str, bool]:
    """Return the field's name, and whether the part is a file."""
    try:
        text = (disposition or b"").decode()
    except UnicodeDecodeError:
        refuse("a part's content-disposition is not valid UTF-8")
    found = _DISPOSITION.fullmatch(text)
    pairs = [(key.lower(), quoted or plain) for key, quoted, plain in _PARAMETERS.findall(found[1])] if found else []
    parameters = dict(pairs)
    if not pairs or pairs[0][0] != "name" or len(parameters) < len(pairs) or not parameters.keys() <= _KNOWN_PARAMETERS:
        refuse('a part needs one content-disposition: form-data; name="..." and, of a file, filename="..."')
    if any(value.endswith("\\") for value in parameters.values()):
        refuse("a part's content-disposition escapes a quote with a backslash; write %22")
    name = parameters["name"]
    if not name.isprintable() or _DECODED.search(name):
        refuse("a field's name holds a control character, or one that some servers decode or strip: \\ ' ` < > % & ; = ?")
    return name, len(parameters) > 1


_KNOWN_PARAMETERS = frozenset({"name", "filename", "filename*"})


def _refuse_look_alike(name: str) -> None:
    """Raise when a name could be taken for a field that decides something here: `Model`, `model[]`, ` user`."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    root = re.split(r"[\[.]", folded, maxsplit=1)[0].strip()
    if root in FORBIDDEN_FIELDS:
        message = f"The field {root!r} is not accepted in a request; upstreams are configured by the operator."
        raise BadRequestError(message, param=root, code="field_not_allowed")
    if root in _ROOTS or re.sub(r"\s", "", folded) in READ or re.sub(r"[\s.\[]", "_", folded) in _ROOTS:
        shown = name[:_SHOWN_CHARACTERS]
        message = f"The form's field {shown!r} looks like one that is read here; some servers would take it for that."
        raise BadRequestError(message, param=shown, code="ambiguous_field")


def refuse(reason: str) -> NoReturn:
    """Refuse a form that cannot be read in one way alone."""
    message = f"The multipart body cannot be read: {reason}."
    raise BadRequestError(message, code="invalid_multipart")
