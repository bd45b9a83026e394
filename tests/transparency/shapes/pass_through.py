"""Paths without a model, which the application's list grants: every byte of them passes, both ways."""

from __future__ import annotations

from tests.fakes.reciting import Answer
from tests.transparency.shape import Shape, answering
from tests.transparency.shapes.errors import told

GRANTED = (
    "POST /v1/files",
    "GET /v1/files",
    "GET /v1/files/{id}",
    "DELETE /v1/files/{id}",
    "GET /v1/files/{id}/content",
    "POST /v1/batches",
    "GET /v1/batches/{id}",
)
"""The application's list."""

_LINES = b'{"custom_id":"1","method":"POST","body":{"model":"m","n":1.10}}\n' * 50
_FORM = (
    b"--b\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n"
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + _LINES + b"\r\n--b--\r\n"
)
_BINARY = bytes(range(256)) * 3000
_DOWNLOAD = (b"content-type: application/octet-stream", b'content-disposition: attachment; filename="a.jsonl"')


def opaque(
    name: str,
    method: str,
    path: str,
    whole: Answer,
    body: bytes = b"",
    content_type: bytes = b"",
    *,
    query: str = "",
    chunk_bytes: int | None = None,
) -> Shape:
    """Return a shape of which nothing is read."""
    return Shape(
        name=f"passed-{name}",
        method=method,
        path=path,
        query=query,
        body=body,
        content_type=content_type,
        whole=whole,
        is_opaque=True,
        chunk_bytes=chunk_bytes,
    )


_FILE = answering({"id": "file-1", "object": "file", "bytes": 3, "purpose": "batch"})
_JSON = b"application/json; charset=utf-8"

PASS_THROUGH = (
    opaque("upload", "POST", "/v1/files", _FILE, _FORM, b"multipart/form-data; boundary=b"),
    opaque("large-upload", "POST", "/v1/files", _FILE, _FORM + b"\r\n" * 500_000, b"multipart/mixed; boundary=b"),
    opaque(
        "list", "GET", "/v1/files", answering({"data": [{"id": "file-1"}]}), query="?limit=2&after=file-%30&order=desc"
    ),
    opaque("upload-in-chunks", "POST", "/v1/files", _FILE, _BINARY, b"application/octet-stream", chunk_bytes=50_000),
    opaque("one", "GET", "/v1/files/file-1", _FILE),
    opaque("delete", "DELETE", "/v1/files/file-1", answering({"id": "file-1", "deleted": True})),
    opaque(
        "content",
        "GET",
        "/v1/files/file-1/content",
        Answer(body=_BINARY, headers=_DOWNLOAD, framing="chunked", cuts=(1, 70_000, 70_001)),
    ),
    opaque("counted-content", "GET", "/v1/files/file-1/content", Answer(body=_BINARY, headers=_DOWNLOAD)),
    opaque("empty-content", "GET", "/v1/files/file-1/content", Answer(body=b"", headers=_DOWNLOAD)),
    opaque("json", "POST", "/v1/batches", answering({"id": "b"}), b' {"model":1,"model":2,\n"x":1e400} ', _JSON),
    opaque("not-json", "POST", "/v1/batches", told(b"400 Bad Request", "x", None), b"\xff{", b"application/json"),
    opaque("not-found", "GET", "/v1/batches/b", told(b"404 Not Found", "invalid_request_error", None)),
    opaque("failed", "GET", "/v1/batches/b", Answer(status=b"500 Oops", body=b"<h1>Oops</h1>", headers=())),
)
