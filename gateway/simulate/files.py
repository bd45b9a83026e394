"""`/v1/files`: uploads kept in memory, as something that a gateway passes through without reading it.

The oldest are forgotten when there are too many, or too large ones.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from gateway.errors import BadRequestError, NotFoundError
from gateway.simulate import form, strict
from gateway.simulate.form import Upload
from gateway.simulate.reply import Received, encode

MOST_FILES = 1_000
MOST_KEPT_BYTES = 256 * 1024 * 1024
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


class _Page(msgspec.Struct):
    """The query of a listing."""

    purpose: str | None = None
    limit: int = 10_000
    after: str | None = None
    order: str = "desc"


class Files:
    """The uploads of one server."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[dict[str, Any], Upload]] = {}

    def add(self, received: Received) -> bytes:
        """Keep an upload.

        Raises:
            BadRequestError: the form has no `file`, or no known `purpose`.
        """
        given = form.read(received)
        upload = given.file("file")
        purpose = given.fields.get("purpose")
        if purpose not in PURPOSES:
            message = f"'purpose' must be one of {', '.join(PURPOSES)}."
            raise BadRequestError(message, param="purpose")
        described: dict[str, Any] = {
            "id": f"file-{secrets.token_hex(12)}",
            "object": "file",
            "bytes": len(upload.content),
            "created_at": int(time.time()),
            "filename": upload.filename,
            "purpose": purpose,
            "status": "processed",
            "expires_at": None,
        }
        self._kept[described["id"]] = (described, upload)
        self._forget()
        return encode(described)

    def list(self, query: dict[str, str]) -> bytes:
        """Return one page, newest first unless `order` is `asc`.

        Raises:
            BadRequestError: the query is wrong.
        """
        page = strict.convert(query, _Page, "file listing")
        listed = [one for one, _ in self._kept.values() if page.purpose in {None, one["purpose"]}]
        if page.order != "asc":
            listed.reverse()
        if page.after is not None:
            places = [place for place, one in enumerate(listed) if one["id"] == page.after]
            listed = listed[places[0] + 1 :] if places else []
        shown = listed[: page.limit]
        first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
        more = len(listed) > len(shown)
        return encode({"object": "list", "data": shown, "first_id": first, "last_id": last, "has_more": more})

    def get(self, name: str) -> bytes:
        """Describe a file.

        Raises:
            NotFoundError: it is not here.
        """
        return encode(self._found(name)[0])

    def content(self, name: str) -> Upload:
        """Return a file.

        Raises:
            NotFoundError: it is not here.
        """
        return self._found(name)[1]

    def delete(self, name: str) -> bytes:
        """Forget a file.

        Raises:
            NotFoundError: it is not here.
        """
        self._found(name)
        del self._kept[name]
        return encode({"id": name, "object": "file", "deleted": True})

    def _found(self, name: str) -> tuple[dict[str, Any], Upload]:
        if name not in self._kept:
            message = f"No such File object: {name}"
            raise NotFoundError(message, code="file_not_found", param="id")
        return self._kept[name]

    def _forget(self) -> None:
        while len(self._kept) > MOST_FILES or sum(one["bytes"] for one, _ in self._kept.values()) > MOST_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
