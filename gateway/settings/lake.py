"""Judge where the lake is to be: a directory, or an object store with its bucket, endpoint and credentials. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.settings.address import base_url_faults, is_loopback
from gateway.settings.problem import Problem, error_at, quoted, shown, warning_at
from gateway.settings.schema import Lake

OBJECTS = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.'()=+-]+(/[A-Za-z0-9!_.'()=+-]+)*/?")
_OBJECTS_ALONE = ("endpoint_url", "region", "access_key_id", "secret_access_key")


def lake_problems(lake: Lake) -> Iterator[Problem]:
    """Yield what is wrong with `[lake]`."""
    if lake.url is not None and lake.url.startswith(OBJECTS):
        yield from _objects(lake, lake.url)
        return
    for key in _OBJECTS_ALONE:
        if getattr(lake, key) is not None:
            yield error_at(("lake", key), 'is for a lake in an object store; write url = "s3://BUCKET/PREFIX" too')
    if lake.url is not None:
        yield from _directory(lake.url)


def _directory(url: str) -> Iterator[Problem]:
    scheme, separator, rest = url.partition("://")
    if separator and scheme != "file":
        remedy = "write a directory, file:///path, or s3://BUCKET/PREFIX"
        yield error_at(("lake", "url"), f"{quoted(scheme)} is no kind of lake; {remedy}")
    elif separator and not rest.startswith("/"):
        yield error_at(("lake", "url"), f"{shown(url)} names another machine; write file:///path, with three slashes")
    elif not url.strip() or any(not character.isprintable() for character in url):
        yield error_at(("lake", "url"), f"{shown(url)} is no directory; write a path, or leave the key out")


def _objects(lake: Lake, url: str) -> Iterator[Problem]:
    bucket, _, prefix = url.removeprefix(OBJECTS).partition("/")
    if not _BUCKET.fullmatch(bucket):
        message = f"{shown(url)} names no bucket (3 to 63 of a-z 0-9 . -); write s3://BUCKET or s3://BUCKET/PREFIX"
        yield error_at(("lake", "url"), message)
    elif prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        message = f"{shown(url)} has a prefix that is none; write letters, digits and - _ . = between single slashes"
        yield error_at(("lake", "url"), message)
    endpoint = lake.endpoint_url
    if endpoint is not None and any(base_url_faults(endpoint)):
        message = f'{shown(endpoint)} is no address of an object store; write it like "https://minio.example.com:9000"'
        yield error_at(("lake", "endpoint_url"), message)
    elif endpoint is not None and endpoint.startswith("http://") and not is_loopback(_host(endpoint)):
        yield warning_at(("lake", "endpoint_url"), f"{shown(endpoint)} gets records unencrypted; use https://")
    if (lake.access_key_id is None) != (lake.secret_access_key is None):
        lacking = "access_key_id" if lake.access_key_id is None else "secret_access_key"
        yield error_at(("lake", lacking), "is missing beside its other half; write both or neither")


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].rpartition(":")[0].strip("[]") or url.partition("://")[2]
