from __future__ import annotations

import pytest

from gateway.settings.access import redis_access
from gateway.settings.schema import Redis, SecretRef
from gateway.settings.secrets import SecretError

TABLE = Redis(
    url="rediss+sentinel://one/main",
    username="turnout",
    password=SecretRef(env="REDIS_PASSWORD"),
    sentinel_username="watcher",
    sentinel_password=SecretRef(env="SENTINEL_PASSWORD"),
    ca_file="/ca.pem",
)


def test_secrets_are_resolved_by_the_process_that_connects_and_shown_to_nobody():
    access = redis_access(TABLE, {"REDIS_PASSWORD": "hunter2", "SENTINEL_PASSWORD": "hunter3"})

    assert (access.username, access.password) == ("turnout", "hunter2")
    assert (access.sentinel_username, access.sentinel_password) == ("watcher", "hunter3")
    assert (access.address.sentinel_name, access.ca_file) == ("main", "/ca.pem")
    assert "hunter" not in repr(access)


def test_a_missing_secret_names_its_variable():
    with pytest.raises(SecretError, match="SENTINEL_PASSWORD"):
        redis_access(TABLE, {"REDIS_PASSWORD": "hunter2"})
