"""Where the lake is, and what opens its object store: by the references of `[lake]`, for a command or a child process.

Child processes get it as the variables that every client of S3 reads, never on a command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from analytics.lake.store import Access
from gateway.settings.lake import OBJECTS
from gateway.settings.schema import Lake
from gateway.settings.secrets import resolve

NEEDED = "s3fs"
LAKE_FILE = "lake.json"
"""In the state directory: `[lake]` as it was in force when `turnout serve` wrote to it last."""


def access_of(lake: Lake, environment: Mapping[str, str]) -> Access:
    """Return how to reach the object store that `[lake]` names; what it leaves open is left to the environment.

    Raises:
        SecretError: a reference leads to nothing.
    """
    return Access(
        endpoint_url=lake.endpoint_url,
        region=lake.region,
        key=resolve(lake.access_key_id, environment) if lake.access_key_id else None,
        secret=resolve(lake.secret_access_key, environment) if lake.secret_access_key else None,
    )


def lake_variables(lake: Lake, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a child process reaches the lake: none for a directory.

    Raises:
        SecretError: a reference leads to nothing.
    """
    if lake.url is None or not lake.url.startswith(OBJECTS):
        return {}
    access = access_of(lake, environment)
    given = {
        "AWS_ENDPOINT_URL_S3": access.endpoint_url,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ACCESS_KEY_ID": access.key,
        "AWS_SECRET_ACCESS_KEY": access.secret,
    }
    replaced = {name for name, value in given.items() if value is not None}
    if access.key is not None:
        replaced |= {"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE"}
    if access.region is not None:
        replaced.add("AWS_REGION")
    kept = {name: value for name, value in environment.items() if name.startswith("AWS_") and name not in replaced}
    return {**kept, **{name: value for name, value in given.items() if value is not None}}


def told_lake(state_dir: Path) -> Lake:
    """Return `[lake]` as `turnout serve` told it in this state directory; the usual one where it did not."""
    try:
        return msgspec.json.decode((state_dir / LAKE_FILE).read_bytes(), type=Lake)
    except (OSError, msgspec.MsgspecError):
        return Lake()


def missing_package(lake: Lake) -> str | None:
    """Return what must be installed before this lake can be written or read; None if nothing."""
    if lake.url is None or not lake.url.startswith(OBJECTS) or find_spec(NEEDED) is not None:
        return None
    return f"lake.url: {lake.url} needs a package that is missing here: pip install 'turnout[s3]'"
