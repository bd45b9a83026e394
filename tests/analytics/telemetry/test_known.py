from __future__ import annotations

from pathlib import Path

from analytics.telemetry.known import KnownModels, tell_models


def test_a_model_that_any_worker_knows_keeps_its_name(tmp_path: Path) -> None:
    known = KnownModels(tmp_path)
    tell_models(tmp_path, "worker-0", {"a": 1, "b": 2})
    tell_models(tmp_path, "worker-1", ["c"])
    known.refresh()

    assert [known.label(model) for model in ("a", "b", "c", "d")] == ["a", "b", "c", "(other)"]


def test_a_new_configuration_is_noticed_and_what_was_known_stays(tmp_path: Path) -> None:
    known = KnownModels(tmp_path)
    tell_models(tmp_path, "worker-0", ["a"])
    known.refresh()
    tell_models(tmp_path, "worker-0", ["b"])
    known.refresh()

    assert (known.label("a"), known.label("b")) == ("a", "b")


def test_without_files_every_name_is_another(tmp_path: Path) -> None:
    known = KnownModels(tmp_path / "missing")
    known.refresh()

    assert known.label("a") == "(other)"


def test_a_file_that_is_damaged_is_passed_over(tmp_path: Path) -> None:
    known = KnownModels(tmp_path)
    (tmp_path / "worker-0.models").write_text("{")
    tell_models(tmp_path, "worker-1", ["a"])
    known.refresh()

    assert known.label("a") == "a"


def test_a_worker_that_cannot_write_its_models_serves_on(tmp_path: Path) -> None:
    tell_models(tmp_path / "missing", "worker-0", ["a"])

    assert not list(tmp_path.iterdir())
