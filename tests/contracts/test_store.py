"""What every store of a lake promises."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from analytics.lake.directory import Directory
from analytics.lake.objects import ObjectStore
from analytics.lake.place import Place
from analytics.lake.store import Store
from tests.fakes.object_server import Bucket, serving_objects

FOLDER = "incoming"


@pytest.fixture(scope="session")
def object_port() -> Iterator[int]:
    with serving_objects() as port:
        yield port


@pytest.fixture(params=["directory", "s3", pytest.param("s3 without a prefix", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "directory":
        made: Store = Directory(tmp_path / "lake")
    else:
        bucket = Bucket(f"t-{uuid.uuid4()}", request.getfixturevalue("object_port"))
        bucket.ask("PUT")
        made = bucket.store("/some/prefix" if request.param == "s3" else "", tmp_path / "outbox")
    made.prepare(FOLDER)
    return made


def put(store: Store, name: str, body: bytes = b"whole") -> None:
    store.place(name, lambda path: void(path.write_bytes(body)))


def void(_: object) -> None:
    return


def parquet(store: Store, name: str, number: int) -> None:
    def fill(path: Path) -> None:
        with duckdb.connect() as connection:
            connection.execute(f"COPY (SELECT {number} AS n) TO '{path}' (FORMAT parquet)")

    store.place(name, fill)


def test_a_placed_file_is_there_under_its_name(store: Store):
    put(store, f"{FOLDER}/a.parquet")
    put(store, f"{FOLDER}/b=c.json", b"{}")

    assert sorted(store.names(FOLDER)) == ["a.parquet", "b=c.json"]
    assert store.read(f"{FOLDER}/a.parquet") == b"whole"
    assert store.sizes(FOLDER) == {f"{FOLDER}/a.parquet": 5}


def test_names_are_those_of_the_folder_alone_that_begin_like_that(store: Store):
    store.prepare(f"{FOLDER}/feedback")
    for name in ("w0-a-1", "w0-b-1", "feedback/w0-a-9"):
        put(store, f"{FOLDER}/{name}.parquet")

    assert sorted(store.names(FOLDER, "w0-")) == ["w0-a-1.parquet", "w0-b-1.parquet"]
    assert list(store.names(FOLDER, "w0-b-")) == ["w0-b-1.parquet"]
    assert list(store.names(FOLDER, "w1-")) == []
    assert list(store.sizes(f"{FOLDER}/feedback")) == [f"{FOLDER}/feedback/w0-a-9.parquet"]


def test_a_file_that_could_not_be_filled_is_not_there_and_leaves_nothing_in_the_way(store: Store):
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        store.place(f"{FOLDER}/a.parquet", fail)
    assert store.sizes(FOLDER) == {}
    store.resume(lambda _: False)
    assert store.sizes(FOLDER) == {}

    put(store, f"{FOLDER}/a.parquet")
    assert store.read(f"{FOLDER}/a.parquet") == b"whole"


def test_a_replaced_file_has_its_last_content(store: Store):
    for body in (b"one", b"two"):
        store.replace(f"{FOLDER}/w0.json", body)

    assert store.read(f"{FOLDER}/w0.json") == b"two"
    assert store.read(f"{FOLDER}/w1.json") is None


def test_a_file_is_brought_here_whole_if_there_is_one(store: Store, tmp_path: Path):
    put(store, f"{FOLDER}/a.parquet", b"x" * 100_000)

    assert store.bring(f"{FOLDER}/a.parquet", tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"x" * 100_000
    assert not store.bring(f"{FOLDER}/b.parquet", tmp_path / "there")


def test_a_removed_file_is_gone_and_removing_it_again_does_no_harm(store: Store):
    put(store, f"{FOLDER}/a.parquet")
    for _ in range(2):
        store.remove(f"{FOLDER}/a.parquet")

    assert list(store.names(FOLDER)) == []


def test_a_folder_is_removed_with_its_files_and_no_others(store: Store):
    for day in ("expires=2026-01-01", "expires=2026-01-02"):
        store.prepare(f"content/{day}", private=True)
        for name in ("a.parquet", "b.parquet"):
            put(store, f"content/{day}/{name}")

    assert sorted(store.folders("content")) == ["expires=2026-01-01", "expires=2026-01-02"]
    assert store.remove_folder("content/expires=2026-01-01") == 2
    assert list(store.folders("content")) == ["expires=2026-01-02"]
    assert len(store.sizes("content/expires=2026-01-02")) == 2
    assert list(store.folders("nowhere")) == []


def test_duckdb_reads_files_by_their_addresses_and_by_a_glob(store: Store):
    assert store.pattern(FOLDER) is None
    for number in (1, 2):
        parquet(store, f"{FOLDER}/{number}.parquet", number)
    store.prepare(f"{FOLDER}/feedback")
    parquet(store, f"{FOLDER}/feedback/3.parquet", 3)

    with duckdb.connect() as connection:
        store.attach(connection)
        addresses = [store.address(name) for name in store.sizes(FOLDER)]
        assert sorted(connection.read_parquet(addresses).fetchall()) == [(1,), (2,)]
        pattern = store.pattern(FOLDER)
        assert connection.execute("SELECT sum(n) FROM read_parquet(?)", [pattern]).fetchall() == [(3,)]


def test_a_folder_exists_once_there_is_something_in_it(store: Store):
    assert not store.exists("nowhere")
    put(store, f"{FOLDER}/a.parquet")
    assert store.exists(FOLDER)


def test_more_files_than_one_answer_names_are_all_seen(store: Store):
    if isinstance(store, ObjectStore):
        store.page_names = 3
    for number in range(10):
        store.replace(f"{FOLDER}/{number}.parquet", b"")

    assert len(store.names(FOLDER)) == len(store.sizes(FOLDER)) == 10


def test_a_directorys_address_opens_a_directory(tmp_path: Path):
    opened = Place(url=f"file://{tmp_path}").open()

    assert opened.address("a") == f"{tmp_path}/a"
    assert not opened.is_far
