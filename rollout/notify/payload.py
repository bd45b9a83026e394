"""A notice as a webhook is sent it: generic JSON, or the text that Slack shows; and its signature. No I/O.

Signed as Standard Webhooks 1.0 has it, so that a receiver may use any library of that name: `webhook-id`,
`webhook-timestamp`, `webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from rollout.notice import Notice, What

Format = Literal["json", "slack"]

PREFIX = "whsec_"
"""A secret that begins so is base64 from there on; any other is taken as its text's bytes."""
_HEADLINES: Mapping[What, str] = {
    "started": "started",
    "advanced": "went on to the next step",
    "awaiting_approval": "waits for approval",
    "rolled_back": "ROLLED BACK",
    "hold_for_24_h": "is on hold",
    "inconclusive": "is inconclusive and waits for a person",
    "paused": "was paused",
    "resumed": "goes on",
    "finished": "is finished",
    "overridden": "was advanced against its verdict",
    "monitor_alarm": "is watched: the monitor raised an alarm",
    "controller_silent": "THE CONTROLLER IS SILENT",
    "controller_back": "the controller is back",
    "percent_source": "the flag that its percent comes from is in trouble",
    "test": "this is a test",
}
_MOST_CHARACTERS = 2_900
"""Of a text that Slack shows whole."""


def body(notice: Notice, shape: Format) -> bytes:
    """Return what is sent."""
    if shape == "slack":
        return msgspec.json.encode({"text": slack_text(notice)})
    fields = {
        name: value for name, value in msgspec.structs.asdict(notice).items() if name not in {"what", "at", "mark"}
    }
    at = datetime.fromtimestamp(notice.at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    return msgspec.json.encode({"type": notice.what, "timestamp": at, "data": {**fields, "identity": notice.identity}})


def slack_text(notice: Notice) -> str:
    """Return the text: which rollout, what happened, where it stands, and why. What is meant to be text stays text."""
    name = f"*{_plain(notice.rollout)}* " if notice.rollout is not None else ""
    stands = [
        *([notice.phase] if notice.phase is not None else []),
        *([f"step {notice.step}"] if notice.rollout is not None else []),
        *([f"{notice.percent:g} %"] if notice.percent is not None else []),
        *([f"verdict {notice.verdict}"] if notice.verdict is not None else []),
    ]
    where = f" ({', '.join(stands)})" if stands else ""
    text = f"{name}{_HEADLINES[notice.what]}{where}: {_plain(notice.words)}"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def signed(secret: str, delivery: str, at_s: int, sent: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows the sender, a delivery that it had before, and one that is too old.

    `at_s`: seconds since 1970 UTC of this attempt.
    """
    content = f"{delivery}.{at_s}.".encode() + sent
    signature = base64.b64encode(hmac.digest(key_of(secret), content, "sha256")).decode()
    return {"webhook-id": delivery, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def key_of(secret: str) -> bytes:
    """Return the key's bytes: see `PREFIX`."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _plain(text: str) -> str:
    """Return text that Slack neither formats as a link or a mention nor breaks lines at."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
