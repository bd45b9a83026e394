from __future__ import annotations

from pathlib import Path

import pytest

from analytics.lake.alone import CompactionRunningError, alone, opened
from analytics.lake.place import Place
from tests.fakes.handmade_lake import HandmadeLake


def test_the_lock_of_a_directory_lies_in_it_and_that_of_an_object_store_at_hand(tmp_path: Path) -> None:
    HandmadeLake(tmp_path / "lake")

    assert opened(Place(url=str(tmp_path / "lake")), tmp_path)[0] == tmp_path / "lake" / "merged"


def test_the_second_one_is_told_which_lock_is_held(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(CompactionRunningError, match=str(tmp_path)), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
