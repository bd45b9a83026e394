from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.console.unreadable import WANTED
from tests.fakes.console import SALES, RunningConsole


def restricted(described: dict[str, Any]) -> Iterator[str]:
    """Yield what a request has choices or a pattern for: parameters and fields, by their names."""
    schemas: dict[str, Any] = described["components"]["schemas"]
    for operation in (operation for path in described["paths"].values() for operation in path.values()):
        fields = {one["name"]: one["schema"] for one in operation.get("parameters", [])}
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            fields |= schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        yield from (name for name, schema in fields.items() if "enum" in str(schema) or "pattern" in schema)


def test_whatever_takes_not_every_text_is_told_with_what_it_takes(console: RunningConsole):
    with console.client(console.keys.admin) as client:
        described = client.get("/api/v1/openapi.json").json()

    assert set(restricted(described)) == set(WANTED)


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "reports/cost?purpose=all", None, "purpose: Invalid enum value 'all'; write one of live, shadow, "),
        ("POST", "sql", {"query": "SELECT 1", "id": "no good"}, "id: write 1 to 64 letters, digits, - and _"),
        (
            "PUT",
            f"rollouts/{SALES}/forced",
            {"user": "a", "arm": "both", "version": 1},
            "arm: Invalid enum value 'both'; write one of base, candidate",
        ),
        ("POST", "keys", None, "this request needs a JSON body"),
    ],
)
def test_a_request_that_cannot_be_read_is_told_what_to_write(
    console: RunningConsole, method: str, path: str, body: object, said: str
):
    with console.client(console.keys.admin) as client:
        message: str = client.request(method, f"/api/v1/{path}", json=body).json()["error"]["message"]

    assert said in message
    assert "\\" not in message
