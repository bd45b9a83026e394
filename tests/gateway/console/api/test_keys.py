from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.console import opened, serving


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[httpx.Client]:
    with opened(tmp_path) as control, serving(control) as running, running.client(running.keys.admin) as client:
        yield client


def test_a_key_is_shown_once(admin: httpx.Client):
    made = admin.post("/api/v1/keys", json={"role": "app", "application": "default", "label": "crm"})

    assert made.status_code == 201
    assert made.json()["key"].startswith("tn_app_")
    listed = admin.get("/api/v1/keys")
    assert made.json()["kept"] in listed.json()
    assert made.json()["key"] not in listed.text
    assert "fingerprint" not in listed.text


def test_a_revoked_key_stays_in_the_list(admin: httpx.Client):
    key_id = admin.post("/api/v1/keys", json={"role": "ops"}).json()["kept"]["id"]

    revoked = admin.post(f"/api/v1/keys/{key_id}/revoke")

    assert (revoked.status_code, revoked.json() in admin.get("/api/v1/keys").json()) == (200, True)
    assert admin.post("/api/v1/keys/nothing/revoke").status_code == 404


@pytest.mark.parametrize("body", [{"role": "boss"}, {"role": "app"}, {"role": "ops", "application": "default"}, {}])
def test_a_role_that_makes_no_sense_is_refused(admin: httpx.Client, body: dict[str, str]):
    assert admin.post("/api/v1/keys", json=body).status_code == 400
