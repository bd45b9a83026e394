from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from analytics.lake.erasure import ERASURES, Erasures, ended
from tests.fakes.console import opened, serving


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[httpx.Client]:
    erasures = Erasures(tmp_path / ERASURES)

    def look() -> None:
        for one in erasures.standing():
            erasures.keep(ended(one, one.asked_at + 1))

    with opened(tmp_path) as control, serving(control) as running, running.client(running.keys.admin) as client:
        control.removals.begin(erasures, "/the/lake", look)
        yield client


def test_an_erasure_is_asked_for_and_listed(admin: httpx.Client) -> None:
    asked = {"user": "ann@example.com", "application": "default", "reason": "ticket 7"}
    made = admin.post("/api/v1/erasures", json=asked)

    assert (made.status_code, made.json()["application"], made.json()["requests"]) == (200, "default", 0)
    assert admin.get("/api/v1/erasures").json() == [made.json()]
    entry = admin.get("/api/v1/audit").json()["entries"][1]
    assert (entry["action"], entry["reason"], "ann" in str(entry["after"])) == ("ask_erasure", "ticket 7", False)


@pytest.mark.parametrize(
    "body", [{}, {"user": "a", "user_hash": "0a" * 16}, {"user_hash": "x"}, {"who": "a"}, {"user": 7}]
)
def test_a_wish_that_names_nobody_is_refused(admin: httpx.Client, body: dict[str, object]) -> None:
    assert admin.post("/api/v1/erasures", json=body).status_code == 400
    assert admin.get("/api/v1/erasures").json() == []
