from __future__ import annotations

import msgspec
import pytest

from gateway.settings.lake import lake_problems
from gateway.settings.schema import Lake

KEYS = {"access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}}


def found(**lake: object) -> list[str]:
    return [str(problem) for problem in lake_problems(msgspec.convert(lake, Lake))]


@pytest.mark.parametrize(
    "lake",
    [
        {},
        {"url": "/var/lake"},
        {"url": "file:///var/lake"},
        {"url": "s3://bucket"},
        {"url": "s3://my.bucket-1/a/b=c/"},
        {"url": "s3://bucket", "endpoint_url": "http://127.0.0.1:9000"},
        {"url": "s3://bucket", "endpoint_url": "http://localhost"},
        {"url": "s3://bucket", "endpoint_url": "https://minio.example.com", "region": "eu-central-1", **KEYS},
    ],
)
def test_these_are_lakes(lake: dict[str, object]):
    assert found(**lake) == []


@pytest.mark.parametrize(
    ("lake", "line"),
    [
        ({"url": "s3://"}, "names no bucket"),
        ({"url": "s3://My_Bucket/x"}, "names no bucket"),
        ({"url": "s3://bucket/a*"}, "has a prefix that is none"),
        ({"url": "s3://bucket/a//b"}, "has a prefix that is none"),
        ({"url": "s3://bucket/a/../b"}, "has a prefix that is none"),
        ({"url": "s3://bucket", "endpoint_url": "minio:9000"}, "is no address of an object store"),
        ({"url": "s3://bucket", "endpoint_url": "http://minio:9000"}, "warning: lake.endpoint_url"),
        ({"url": "s3://bucket", "access_key_id": {"env": "A"}}, "lake.secret_access_key: is missing beside"),
        ({"url": "s3://bucket", "secret_access_key": {"env": "A"}}, "lake.access_key_id: is missing beside"),
        ({"url": "/var/lake", "region": "eu"}, 'lake.region: is for a lake in an object store; write url = "s3://'),
    ],
)
def test_what_is_none_is_said_with_its_place(lake: dict[str, object], line: str):
    [told] = found(**lake)

    assert line in told
