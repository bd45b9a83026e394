"""Every route, five roles and none, against the checked-in matrix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from analytics.lake.place import Place
from gateway.console.app import create_app
from gateway.console.auth import actor
from gateway.console.control import Control
from gateway.console.queries import Queries
from gateway.console.reports import Reports
from gateway.settings.schema import Sql
from rollout.keys import ROLES, Key
from tests.fakes.console import SALES, RunningConsole

MATRIX: dict[str, list[str]] = json.loads((Path(__file__).parent / "roles.json").read_text(encoding="utf-8"))
WHO = ("none", *ROLES)
AUTOMATIC = {"OPTIONS"}
"""Litestar adds it to every path; it is for nobody, but where a path is open or for everybody."""


def routes(app: Litestar) -> set[str]:
    return {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
        if method not in AUTOMATIC
    }


def test_every_route_stands_in_the_matrix_and_every_line_of_it_is_a_route(control: Control, tmp_path: Path):
    queries = Queries(Sql(), Place(url=str(tmp_path)), tmp_path / "sql")

    assert routes(create_app(control, Reports(control, tmp_path), queries)) == set(MATRIX)


def test_the_matrix_lets_in_exactly_whom_it_names(console: RunningConsole):
    keys = {"none": None, **{role: console.key(role) for role in ROLES}}
    found: dict[str, list[str]] = {}
    for line, permitted in MATRIX.items():
        method, path = line.split()
        for who in WHO:
            with console.client(keys[who]) as client:
                status = client.request(
                    method, path.format(name=SALES, key_id="nothing", path="x.json", query_id="nothing")
                ).status_code
            assert (status == 401) == (who == "none" and "none" not in permitted)
            if status not in {401, 403}:
                found.setdefault(line, []).append(who)

    assert found == MATRIX


@pytest.mark.parametrize("path", ["/api/v1/rollouts", "/api/v1/keys", "/api/v1/audit"])
def test_no_automatic_method_is_open(console: RunningConsole, path: str):
    with console.client(None) as nobody, console.client(console.keys.admin) as admin:
        assert nobody.options(path).status_code == 401
        assert admin.options(path).status_code == 403


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Basic abc", "tn_admin_x", "Bearer sk-old", "Bearer tn_admin_000000000000_x", "Bearer  ~", "~"],
)
def test_a_missing_malformed_or_unknown_key_gets_401_in_the_envelope(console: RunningConsole, header: str):
    with console.client(None) as client:
        answer = client.get("/api/v1/rollouts", headers={"authorization": header})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_is_out_at_once(console: RunningConsole):
    key = console.key("ops")
    with console.client(key) as ops, console.client(console.keys.admin) as admin:
        assert ops.get("/api/v1/rollouts").status_code == 200
        admin.post(f"/api/v1/keys/{key.split('_')[2]}/revoke")

        assert ops.get("/api/v1/rollouts").status_code == 401


def test_the_salt_is_for_ops_and_admin_alone(console: RunningConsole):
    salts = {}
    for role in ("ops", "analyst", "admin"):
        with console.client(console.key(role)) as client:
            listed = client.get("/api/v1/rollouts").json()[0]["salt"]
            shown = client.get(f"/api/v1/rollouts/{SALES}").json()["salt"]
        assert listed == shown
        salts[role] = shown

    assert salts["analyst"] is None
    assert salts["ops"] == salts["admin"] == console.control.show(SALES, with_salt=True).salt


def test_no_answer_for_an_analyst_contains_the_salt(console: RunningConsole):
    salt = console.control.show(SALES, with_salt=True).salt
    assert salt is not None
    with console.client(console.key("analyst")) as client:
        answers = [
            client.get(line.split()[1].format(name=SALES, path="x", query_id="x"))
            for line in MATRIX
            if line.startswith("GET")
        ]

    assert not [answer.url for answer in answers if salt in answer.text]


def test_an_actor_is_named_by_role_id_and_label():
    key = Key(id="0f", role="ops", fingerprint="")

    assert actor(key) == "ops key 0f"
    assert actor(Key(id="0f", role="ops", fingerprint="", label="alice")) == "ops key 0f (alice)"
