from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from analytics.lake.layout import INCOMING
from analytics.lake.manifest import read_manifest
from analytics.lake.place import Place
from gateway.console.compacting import Compacting
from tests.fakes.handmade_lake import HandmadeLake, record

PATIENCE_S = 60.0


class Said(logging.Handler):
    """What the console's log said."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def has(self, event: str) -> bool:
        return any(one.getMessage() == event for one in self.records)


@pytest.fixture
def said() -> Iterator[Said]:
    log, handler = logging.getLogger("turnout.console"), Said()
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


async def until(is_so: Callable[[], bool]) -> None:
    ends_s = asyncio.get_running_loop().time() + PATIENCE_S
    while not is_so() and asyncio.get_running_loop().time() < ends_s:  # noqa: ASYNC110 - another process does it
        await asyncio.sleep(0.05)
    assert is_so()


def compacting(tmp_path: Path, *, often_s: float, may: bool = True, **more: Any) -> Compacting:
    place = Place(url=str(tmp_path / "lake"))
    environment = {"PATH": "/usr/bin:/bin", "TURNOUT_SECRET": "hidden"}
    return Compacting(
        place=place,
        state_dir=tmp_path,
        environment=environment,
        may=lambda: may,
        many_files=3,
        look_s=0.05,
        often_s=often_s,
        **more,
    )


@pytest.mark.anyio
async def test_a_lake_is_compacted_now_and_then(tmp_path: Path, said: Said) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    async with compacting(tmp_path, often_s=0.1).running(Litestar()):
        await until(lambda: said.has("lake compacted"))

    assert len(list(lake.root.glob("requests/*/*.parquet"))) == 1


@pytest.mark.anyio
async def test_very_many_files_do_not_wait(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    lake.put([record(2)])
    async with compacting(tmp_path, often_s=9_999.0).running(Litestar()):
        await asyncio.sleep(0.5)
        assert not list(lake.root.glob("requests/*/*.parquet"))
        lake.put([record(3)])
        await until(lambda: bool(list(lake.root.glob("requests/*/*.parquet"))))


@pytest.mark.anyio
async def test_a_console_that_may_not_write_compacts_nothing(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    async with compacting(tmp_path, often_s=0.0, may=False).running(Litestar()):
        await asyncio.sleep(0.5)

    assert not (lake.root / "merged").exists()


@pytest.mark.anyio
async def test_what_is_wrong_is_said_and_it_is_tried_again(tmp_path: Path, said: Said) -> None:
    def reasons() -> list[str]:
        return [str(vars(line)["reason"]) for line in said.records if "not compacted" in line.getMessage()]

    async with compacting(tmp_path, often_s=0.1).running(Litestar()):
        await until(lambda: len(reasons()) > 1)

    assert reasons()[0].startswith("there is no lake in ")


@pytest.mark.anyio
async def test_what_is_past_its_time_is_let_go_of_and_somebody_is_told(tmp_path: Path, said: Said) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    told: list[int] = []
    more = {"retention_days": 1, "after": lambda: told.append(read_manifest(lake.lake.store).expired[INCOMING].rows)}
    async with compacting(tmp_path, often_s=0.1, **more).running(Litestar()):
        await until(lambda: bool(told))

    assert told[0] == 1
    assert said.has("lake compacted")


@pytest.mark.anyio
async def test_what_the_audit_could_not_be_told_is_said_and_tried_again(tmp_path: Path, said: Said) -> None:
    HandmadeLake(tmp_path / "lake")
    tries: list[int] = []

    def refuse() -> None:
        tries.append(1)
        message = "no room"
        raise OSError(message)

    async with compacting(tmp_path, often_s=0.1, after=refuse).running(Litestar()):
        await until(lambda: len(tries) > 1)

    assert said.has("the audit does not tell yet what the lake let go of")
