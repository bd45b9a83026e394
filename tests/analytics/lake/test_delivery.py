from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.lake.delivery import TakenError, delivering
from analytics.lake.store import Access
from tests.fakes.object_server import Bucket, serving_objects

NOBODY = Access()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serving_objects() as port:
        yield port


@pytest.fixture
def bucket(server: int) -> Bucket:
    made = Bucket(f"t-{uuid.uuid4()}", server)
    made.ask("PUT")
    return made


def body(text: bytes):
    def fill(path: Path) -> None:
        path.write_bytes(text)

    return fill


def test_a_folder_has_its_name_only_when_the_manifest_is_in_it(tmp_path: Path):
    target = tmp_path / "made" / "here"
    with delivering(str(target), NOBODY) as delivery:
        taken = delivery.add("requests/a.csv", body(b"one"))
        assert not target.exists()
        delivery.finish("manifest.json", b"{}")

    assert (taken.name, taken.size_bytes) == ("requests/a.csv", 3)
    assert taken.sha256 == hashlib.sha256(b"one").hexdigest()
    assert (target / "requests/a.csv").read_bytes() == b"one"
    assert (target / "manifest.json").read_bytes() == b"{}"
    assert [path.name for path in target.parent.iterdir()] == ["here"]


def test_what_is_not_finished_leaves_nothing(tmp_path: Path):
    with delivering(str(tmp_path / "out"), NOBODY) as delivery:
        delivery.add("a", body(b"one"))

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path):
    left = tmp_path / "out.unfinished"
    (left / "requests").mkdir(parents=True)
    (left / "requests/old").write_text("half")
    (left / "old").write_text("half")
    with delivering(str(tmp_path / "out"), NOBODY) as delivery:
        delivery.finish("manifest.json", b"{}")

    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["out", "out/manifest.json"]


def test_an_empty_folder_is_taken_and_one_that_is_not_is_refused(tmp_path: Path):
    target = tmp_path / "out"
    target.mkdir()
    with delivering(str(target), NOBODY) as delivery:
        delivery.finish("manifest.json", b"{}")

    with pytest.raises(TakenError, match="is not empty"), delivering(str(target), NOBODY):
        pass
    with pytest.raises(TakenError, match="is a file"), delivering(str(target / "manifest.json"), NOBODY):
        pass
    assert (target / "manifest.json").read_bytes() == b"{}"


def test_two_do_not_write_the_same_folder_at_once(tmp_path: Path):
    unfinished = tmp_path / "out.unfinished"
    unfinished.mkdir()
    (unfinished / "a").write_text("another's")
    other = os.open(unfinished, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TakenError, match="another process is writing"), delivering(str(tmp_path / "out"), NOBODY):
            pass
    finally:
        os.close(other)
    assert (unfinished / "a").read_text() == "another's"


def test_what_is_private_is_for_its_owner_alone(tmp_path: Path):
    with delivering(str(tmp_path / "out"), NOBODY) as delivery:
        delivery.add("content/a", body(b"said"), private=True)
        delivery.finish("manifest.json", b"{}")
    with delivering(str(tmp_path / "all"), NOBODY, private=True) as delivery:
        delivery.add("in/a", body(b"said"))
        delivery.finish("manifest.json", b"{}")

    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert (modes["out/content"], modes["out/content/a"]) == (0o700, 0o600)
    assert [modes[name] for name in ("all", "all/in", "all/in/a", "all/manifest.json")] == [0o700, 0o700, 0o600, 0o600]


def test_objects_are_put_and_the_manifest_comes_last(bucket: Bucket, tmp_path: Path):
    large = os.urandom(17 * 1024 * 1024)
    url = f"s3://{bucket.name}/out"
    with delivering(url, bucket.access) as delivery:
        taken = delivery.add("requests/a", body(large))
        assert bucket.store("/out").names("") == []
        delivery.finish("manifest.json", b"{}")

    store = bucket.store("/out")
    assert store.read("manifest.json") == b"{}"
    assert store.bring("requests/a", tmp_path / "a")
    assert not store.bring("requests/b", tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == large
    assert taken.sha256 == hashlib.sha256(large).hexdigest()
    with pytest.raises(TakenError, match="is not empty"), delivering(url, bucket.access):
        pass
