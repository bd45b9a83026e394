from __future__ import annotations

import re
from pathlib import Path

from analytics.lake.host import host_name, named_host


def test_a_host_keeps_its_name_and_another_state_directory_has_another(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    name = named_host(one)

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-f]{8}", name)
    assert named_host(one) == host_name(one) == name
    assert named_host(two) != name
    assert [path.name for path in one.iterdir()] == ["host"]


def test_a_journal_that_never_shipped_to_an_object_store_has_no_name(tmp_path: Path) -> None:
    assert host_name(tmp_path) is None
