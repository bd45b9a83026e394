from __future__ import annotations

from pathlib import Path

import pytest

from gateway.serve.ownership import DEMO_CONFIG, ForeignDirectoryError, require_demo, set_demo_aside
from rollout.stores.ledger import LEDGER_FILE


def made(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_a_demonstrations_directory_moves_to_the_first_free_name(tmp_path: Path):
    first = set_demo_aside(made(tmp_path / "data", DEMO_CONFIG, LEDGER_FILE))
    second = set_demo_aside(made(tmp_path / "data", DEMO_CONFIG))

    assert first == tmp_path / "data-demo"
    assert second == tmp_path / "data-demo-2"
    assert (tmp_path / "data-demo" / LEDGER_FILE).exists()


def test_a_real_directory_stays_where_it_is(tmp_path: Path):
    assert set_demo_aside(made(tmp_path / "data", LEDGER_FILE)) is None
    assert (tmp_path / "data" / LEDGER_FILE).exists()


def test_a_demonstration_takes_a_new_directory_or_its_own(tmp_path: Path):
    require_demo(tmp_path / "missing")
    require_demo(made(tmp_path / "own", DEMO_CONFIG, LEDGER_FILE))

    with pytest.raises(ForeignDirectoryError, match="another --state-dir"):
        require_demo(made(tmp_path / "real", LEDGER_FILE))


def test_a_demonstration_that_is_refused_is_told_the_command_that_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = made(tmp_path / "turnout-data", LEDGER_FILE)
    with pytest.raises(ForeignDirectoryError) as elsewhere:
        require_demo(real)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ForeignDirectoryError) as here:
        require_demo(real)

    assert str(here.value).endswith(': make run ARGS="--state-dir turnout-data-demo"')
    assert f"--state-dir {tmp_path}/turnout-data-demo" in str(elsewhere.value)
