from __future__ import annotations

from typing import Any

import pytest

from gateway.settings.redis import redis_problems
from gateway.settings.schema import Redis, SecretRef

SECRET = SecretRef(env="REDIS_PASSWORD")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"url": "redis://cache"},
        {"url": "rediss://cache", "username": "u", "password": SECRET, "ca_file": "/ca.pem"},
        {"url": "unix:///run/redis.sock", "password": SECRET},
        {"url": "rediss+sentinel://a/main", "sentinel_username": "u", "sentinel_password": SECRET},
    ],
)
def test_a_table_that_names_one_place_is_right(keys: dict[str, Any]):
    assert list(redis_problems(Redis(**keys))) == []


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"username": "u"}, "redis.username: is of no use without a url"),
        ({"url": "http://cache"}, "redis.url: has no scheme"),
        ({"url": "redis://u:p@cache"}, "redis.url: carries a user or a password"),
        ({"url": "redis://cache", "ca_file": "/ca.pem"}, "redis.ca_file: is for encrypted connections"),
        ({"url": "rediss://cache", "ca_file": "ca.pem"}, "redis.ca_file: is no absolute path"),
        ({"url": "redis://cache", "sentinel_username": "u"}, "redis.sentinel_username: is for sentinels"),
        ({"url": "redis://cache", "password": SECRET}, "redis.password: is sent unencrypted"),
    ],
)
def test_a_table_that_contradicts_itself_is_told_with_the_remedy(keys: dict[str, Any], says: str):
    (problem,) = redis_problems(Redis(**keys))

    assert says in str(problem)
