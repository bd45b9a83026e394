"""What the store's contract (tests/contracts/test_store.py) leaves to an object store."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from analytics.lake.objects import ObjectStore
from analytics.lake.place import Place
from analytics.lake.store import Access, StoreAwayError


@pytest.fixture
def nowhere() -> Access:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return Access(endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", key="AKIAKEY", secret="hush-hush")


def whole(path: Path) -> None:
    path.write_bytes(b"whole")


def test_a_store_that_does_not_answer_is_away_and_what_was_placed_waits(tmp_path: Path, nowhere: Access) -> None:
    store = ObjectStore("s3://bucket/lake/", nowhere, tmp_path / "outbox", tries=1)
    store.prepare("incoming")
    with pytest.raises(StoreAwayError, match="s3://bucket/lake") as refused:
        store.place("incoming/a.parquet", whole)
    with pytest.raises(StoreAwayError):
        store.names("incoming")
    with pytest.raises(StoreAwayError):
        store.resume(lambda _: False)

    [waiting] = (tmp_path / "outbox").iterdir()
    assert waiting.read_bytes() == b"whole"
    assert "hush" not in str(refused.value)
    store.resume(lambda name: name == "incoming/a.parquet")
    assert list((tmp_path / "outbox").iterdir()) == []


def test_a_store_that_was_opened_for_reading_takes_nothing(nowhere: Access) -> None:
    store = ObjectStore("s3://bucket", nowhere)

    with pytest.raises(OSError, match="for reading alone"):
        store.place("incoming/a.parquet", lambda _: None)
    assert store.address("incoming/a.parquet") == "s3://bucket/incoming/a.parquet"


@pytest.fixture
def hanging(nowhere: Access) -> Iterator[Access]:
    """Connects, as a server does that was stopped, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        yield replace(nowhere, endpoint_url=f"http://127.0.0.1:{deaf.getsockname()[1]}")


def test_it_is_told_how_long_a_call_has_been_waiting_while_it_does(hanging: Access) -> None:
    store = ObjectStore("s3://bucket", hanging, tries=1, read_s=2)
    refused: list[OSError] = []

    def ask() -> None:
        try:
            store.exists("incoming")
        except StoreAwayError as error:
            refused.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    longest_s = 0.0
    while asking.is_alive():
        longest_s = max(longest_s, store.waits_s)
        time.sleep(0.02)
    asking.join()

    assert longest_s > 0.5
    assert (len(refused), store.waits_s) == (1, 0.0)


@pytest.mark.slow
def test_who_is_waited_for_hears_of_a_store_that_hangs_within_twenty_seconds(hanging: Access) -> None:
    store = Place(url="s3://bucket/lake", access=hanging).open_awaited()
    began = time.monotonic()
    with pytest.raises(StoreAwayError, match="s3://bucket/lake"):
        store.exists("incoming")

    assert time.monotonic() - began < 20


def test_who_waits_for_a_store_that_hangs_is_broken_off_and_nobody_asks_it_any_more(hanging: Access) -> None:
    store = ObjectStore("s3://bucket", hanging)
    refused: list[OSError] = []

    def ask() -> None:
        with pytest.raises(StoreAwayError, match="this process ends") as caught:
            store.exists("incoming")
        refused.append(caught.value)

    asking = threading.Thread(target=ask)
    asking.start()
    while not store.waits_s:
        time.sleep(0.02)
    time.sleep(0.3)
    store.break_off()
    asking.join(10)

    assert len(refused) == 1
    ask()
    with duckdb.connect() as connection:
        store.attach(connection)
        with pytest.raises(duckdb.Error, match="this process ends"):
            connection.read_parquet("s3://bucket/incoming/a.parquet")
