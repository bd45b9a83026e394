from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from analytics.lake.place import Place
from analytics.lake.store import Access
from gateway.cli import Abort
from gateway.cli.lakes import find_lake, open_lake
from gateway.settings.lake_access import LAKE_FILE
from gateway.settings.schema import Lake, SecretRef

FAR = Lake(
    url="s3://bucket/lake",
    endpoint_url="https://minio.example.com",
    access_key_id=SecretRef(env="LAKE_ID"),
    secret_access_key=SecretRef(env="LAKE_KEY"),
)
ENVIRONMENT = {"LAKE_ID": "AKIA1", "LAKE_KEY": "hush"}


def tell(folder: Path, lake: Lake) -> None:
    (folder / LAKE_FILE).write_bytes(msgspec.json.encode(lake))


def test_without_a_word_the_lake_lies_in_the_state_directory(tmp_path: Path):
    assert find_lake(None, tmp_path, {}) == Place(url=str(tmp_path / "lake"))
    tell(tmp_path, Lake())
    assert find_lake(None, tmp_path, {}) == Place(url=str(tmp_path / "lake"))


def test_the_lake_is_where_the_installation_said(tmp_path: Path):
    tell(tmp_path, FAR)
    access = Access(endpoint_url="https://minio.example.com", key="AKIA1", secret="hush")

    assert find_lake(None, tmp_path, ENVIRONMENT) == Place(url="s3://bucket/lake", access=access)
    assert find_lake("s3://other", tmp_path, ENVIRONMENT) == Place(url="s3://other", access=access)
    assert find_lake("/elsewhere", tmp_path, {}) == Place(url="/elsewhere")
    assert open_lake("/elsewhere", tmp_path, {}).address("a") == "/elsewhere/a"


def test_missing_credentials_are_named(tmp_path: Path):
    tell(tmp_path, FAR)

    with pytest.raises(Abort, match="credentials of s3://bucket/lake are missing: environment variable LAKE_ID"):
        find_lake(None, tmp_path, {})
