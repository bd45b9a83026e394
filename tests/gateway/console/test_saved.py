from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.console import saved as module
from gateway.console.saved import Saved, SavedQueries
from gateway.errors import ApiError, BadRequestError, ForbiddenError, NotFoundError

ALICES = Saved(query="SELECT $n", parameters={"n": 1}, by="analyst key a", key="a", saved_at=7)
BOBS = msgspec.structs.replace(ALICES, by="analyst key b", key="b")


@pytest.fixture
def queries(tmp_path: Path) -> SavedQueries:
    return SavedQueries(tmp_path / "queries")


def test_a_saved_query_is_there_for_everybody_also_after_a_restart(queries: SavedQueries, tmp_path: Path):
    queries.save("b", ALICES, "analyst")
    queries.save("a", BOBS, "analyst")
    found = SavedQueries(tmp_path / "queries").list_queries()

    assert [(one.name, one.by, one.parameters, one.saved_at) for one in found] == [
        ("a", "analyst key b", {"n": 1}, 7),
        ("b", "analyst key a", {"n": 1}, 7),
    ]
    assert queries.get("b") == ALICES
    assert (tmp_path / "queries").stat().st_mode & 0o777 == 0o700


def test_an_analyst_changes_and_removes_what_is_their_own_alone(queries: SavedQueries):
    queries.save("mine", ALICES, "analyst")
    with pytest.raises(ForbiddenError, match="analyst key a"):
        queries.save("mine", BOBS, "analyst")
    with pytest.raises(ForbiddenError):
        queries.forget("mine", "b", "analyst")
    queries.save("mine", msgspec.structs.replace(ALICES, query="SELECT 2"), "analyst")

    assert queries.get("mine").query == "SELECT 2"
    queries.forget("mine", "a", "analyst")
    assert queries.list_queries() == []


def test_ops_change_and_remove_everybodys(queries: SavedQueries):
    queries.save("mine", ALICES, "analyst")
    queries.save("mine", BOBS, "ops")
    queries.forget("mine", "o", "admin")

    with pytest.raises(NotFoundError, match="--list"):
        queries.get("mine")


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "a/b", "A", "a b", "-a", "x" * 65, "a\n"])
def test_a_name_that_could_be_a_path_is_none(queries: SavedQueries, tmp_path: Path, name: str):
    (tmp_path / "secret.json").write_bytes(msgspec.json.encode(ALICES))

    with pytest.raises(BadRequestError, match="no name"):
        queries.save(name, ALICES, "admin")
    for act in (queries.get, lambda name: queries.forget(name, "a", "admin")):
        with pytest.raises(ApiError):
            act(name)
    assert (tmp_path / "secret.json").exists()


def test_a_file_that_is_none_of_ours_is_left_out(queries: SavedQueries, tmp_path: Path):
    queries.save("a", ALICES, "analyst")
    (tmp_path / "queries/b.json").write_text("no JSON")
    (tmp_path / "queries/C.json").write_bytes(msgspec.json.encode(ALICES))

    assert [one.name for one in queries.list_queries()] == ["a"]


def test_there_are_only_so_many(queries: SavedQueries, tmp_path: Path):
    queries.save("a", ALICES, "analyst")
    for number in range(1, module.MOST):
        (tmp_path / f"queries/n{number}.json").touch()

    queries.save("a", ALICES, "analyst")
    with pytest.raises(BadRequestError, match="remove one"):
        queries.save("b", ALICES, "analyst")


def test_one_key_cannot_take_every_place(queries: SavedQueries, tmp_path: Path):
    queries.save("a", ALICES, "analyst")
    for number in range(1, module.MOST_OF_ONE):
        (tmp_path / f"queries/n{number}.json").write_bytes(msgspec.json.encode(ALICES))

    queries.save("a", ALICES, "analyst")
    with pytest.raises(BadRequestError, match="this key has saved 200 queries; remove one"):
        queries.save("b", ALICES, "analyst")
    queries.save("b", BOBS, "analyst")
