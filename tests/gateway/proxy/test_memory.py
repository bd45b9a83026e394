from __future__ import annotations

from pathlib import Path

from gateway.proxy.memory import Memory, keep, remembered
from rollout.holding import Fleet, Holding

HELD = Memory(
    host="north",
    fleet=Fleet(hosts=3, rank=1),
    holdings=(Holding(kind="slots", name="application:shop", limit=8, free=2),),
)


def test_what_was_kept_last_is_remembered(tmp_path: Path):
    file = tmp_path / "lessee.json"
    assert remembered(file) is None
    keep(file, Memory(host="south", fleet=Fleet(hosts=2)))
    keep(file, HELD)

    assert remembered(file) == HELD
    assert [path.name for path in tmp_path.iterdir()] == ["lessee.json"]


def test_a_damaged_file_is_as_none(tmp_path: Path):
    file = tmp_path / "lessee.json"
    file.write_bytes(b'{"host": "nor')

    assert remembered(file) is None
