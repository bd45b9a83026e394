from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from analytics.lake.alone import alone
from analytics.lake.erasure import ERASURES, Erasures
from analytics.lake.place import Place
from gateway.console.erasing import Erasing, LookError
from tests.fakes.erasable_lake import ANN, ErasableLake, erasure, holding

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TURNOUT_SECRET": "hidden"}


def test_a_look_erases_and_has_copies_discarded(tmp_path: Path) -> None:
    lake, discarded = ErasableLake(tmp_path / "lake"), list[int]()
    place = Place(url=str(lake.root))
    Erasures(tmp_path / ERASURES).keep(erasure(place.name))
    Erasing(place, tmp_path, ENVIRONMENT, lambda: discarded.append(1)).look()

    assert holding(lake.root, ANN) == []
    assert discarded == [1]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    erasing = Erasing(Place(url=str(tmp_path / "none")), tmp_path, ENVIRONMENT, lambda: None)
    with pytest.raises(LookError, match="there is no lake"):
        erasing.look()


def test_a_console_that_ends_waits_for_no_look(tmp_path: Path) -> None:
    lake = ErasableLake(tmp_path / "lake")
    erasing = Erasing(Place(url=str(lake.root)), tmp_path, ENVIRONMENT, lambda: None)
    ended: list[str] = []

    def look() -> None:
        with pytest.raises(LookError) as refused:
            erasing.look()
        ended.append(str(refused.value))

    with alone(lake.root / "merged"):
        looking = threading.Thread(target=look)
        looking.start()
        time.sleep(0.5)
        erasing.close()
        looking.join(60)

    assert ended in (["it ended without a word"], ["the console ends"])
    with pytest.raises(LookError, match="the console ends"):
        erasing.look()
