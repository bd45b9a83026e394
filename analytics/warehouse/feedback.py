"""What became of feedback: each piece is exactly one of `STATUSES`, found out anew whenever somebody asks.

SQL counts, and judges here too, since a piece's fate depends on all the others that name its request.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from analytics.warehouse.database import Answers

Status = Literal["joined", "superseded", "foreign", "ambiguous", "expired", "unmatched"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""`queries/feedback.sql` says what each means."""


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """How many pieces of one application's feedback have which status."""

    application: str
    joined: int = 0
    superseded: int = 0
    foreign: int = 0
    ambiguous: int = 0
    expired: int = 0
    unmatched: int = 0


def fates(warehouse: Answers) -> list[Fates]:
    """Return one row for each application that sent feedback, in the order of their names.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    counts: dict[str, dict[str, int]] = {}
    for row in warehouse.ask("feedback_counts"):
        counts.setdefault(row["application"], {})[row["status"]] = row["pieces"]
    return [Fates(application=application, **found) for application, found in counts.items()]
