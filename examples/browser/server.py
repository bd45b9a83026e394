"""A chat page's backend on the standard library alone: it holds the key, and forwards questions and thumbs.

The browser sees neither the key nor the model's name, and cannot choose whose answer it gets: a cookie that no script
can read names the user. Needs OPENAI_BASE_URL and OPENAI_API_KEY in the environment; `python server.py [PORT]`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
}
POLICY = (
    "default-src 'self'; img-src data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
MODEL = "sales-companion"
MOST_BYTES = 64 * 1024
ANSWER_TIMEOUT_S = 120


class Page(BaseHTTPRequestHandler):
    """Answers one request of the browser."""

    def do_GET(self) -> None:
        """Send a file of the page."""
        if self.path not in PAGES:
            self.refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
            return
        name, kind = PAGES[self.path]
        self.start(HTTPStatus.OK, kind)
        if self.user() is None:
            cookie = f"user={secrets.token_urlsafe(16)}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"
            self.send_header("set-cookie", cookie)
        self.end_headers()
        self.wfile.write((HERE / name).read_bytes())

    def do_POST(self) -> None:
        """Forward a question or a thumb, if it comes from our own page."""
        ways = {"/chat": ("chat/completions", self.question), "/feedback": ("feedback", self.thumb)}
        if self.path not in ways or self.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            self.refuse(HTTPStatus.FORBIDDEN, "Only this page may ask.")
            return
        place, read = ways[self.path]
        try:
            body = read(self.sent())
        except (ValueError, KeyError, TypeError, RecursionError):
            self.refuse(HTTPStatus.BAD_REQUEST, "This is not what the page sends.")
            return
        self.forward(place, body)

    def question(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Return the body that asks the model; of the browser's words only roles and texts are taken."""
        messages = [{"role": str(said["role"]), "content": str(said["content"])} for said in sent["messages"]]
        if not messages or {said["role"] for said in messages} - {"user", "assistant"}:
            raise ValueError(messages)
        user = self.user() or secrets.token_urlsafe(16)
        return {"model": MODEL, "messages": messages, "safety_identifier": user, "stream": True}

    def thumb(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Return the body that says what the user thought of an answer."""
        if sent["thumb"] not in {"up", "down"}:
            raise ValueError(sent["thumb"])
        return {"response_id": str(sent["response_id"]), "thumb": sent["thumb"]}

    def forward(self, place: str, body: dict[str, Any]) -> None:
        """Send a body with our key, and hand the answer back as it comes."""
        key = os.environ["OPENAI_API_KEY"]
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        url = f"{os.environ['OPENAI_BASE_URL'].rstrip('/')}/{place}"
        request = Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - our own configuration's address
        try:
            with urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:  # noqa: S310 - as above
                self.start(answer.status, answer.headers.get("content-type", "application/json"))
                self.end_headers()
                for piece in pieces(answer):
                    self.wfile.write(piece)
                    self.wfile.flush()
        except HTTPError as refused:
            self.start(refused.code, "application/json")
            self.end_headers()
            self.wfile.write(refused.read())
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except URLError:
            self.refuse(HTTPStatus.BAD_GATEWAY, "The model cannot be reached. Try again later.")

    def sent(self) -> dict[str, Any]:
        """Return the JSON object that the browser sent."""
        length = int(self.headers["content-length"])
        if not 0 < length <= MOST_BYTES:
            raise ValueError(length)
        return dict(json.loads(self.rfile.read(length)))

    def user(self) -> str | None:
        """Return who asks, by the cookie."""
        cookie = SimpleCookie(self.headers.get("cookie", "")).get("user")
        return cookie.value if cookie else None

    def start(self, status: int, kind: str) -> None:
        """Begin an answer."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("cache-control", "no-store")
        self.send_header("content-security-policy", POLICY)
        self.send_header("x-content-type-options", "nosniff")

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error in OpenAI's shape."""
        self.start(status, "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"error": {"message": message}}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gave
        """Keep quiet: what users say belongs in no log."""


def pieces(answer: Any) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive."""
    while piece := answer.read1(MOST_BYTES):
        yield piece


def main() -> None:
    """Serve the page on this machine until Ctrl-C."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        print(f"Chat at http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Ended.")


if __name__ == "__main__":
    main()
