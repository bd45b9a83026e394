from __future__ import annotations

import pytest

from analytics.lake.store import Access
from gateway.settings.lake_access import access_of, lake_variables, missing_package
from gateway.settings.schema import Lake, SecretRef
from gateway.settings.secrets import SecretError

REFERRED = Lake(
    url="s3://bucket/lake",
    endpoint_url="https://minio.example.com",
    region="eu-central-1",
    access_key_id=SecretRef(env="LAKE_ID"),
    secret_access_key=SecretRef(env="LAKE_KEY"),
)
ENVIRONMENT = {"LAKE_ID": "AKIA1", "LAKE_KEY": "hush", "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "t", "PATH": "/bin"}


def test_references_become_the_variables_that_every_client_knows_and_nothing_is_mixed_with_them():
    assert lake_variables(REFERRED, ENVIRONMENT) == {
        "AWS_ENDPOINT_URL_S3": "https://minio.example.com",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIA1",
        "AWS_SECRET_ACCESS_KEY": "hush",
    }


def test_without_references_the_environments_own_credentials_are_passed_on():
    assert lake_variables(Lake(url="s3://bucket"), ENVIRONMENT) == {"AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "t"}


@pytest.mark.parametrize("lake", [Lake(), Lake(url="/var/lake")])
def test_a_directory_needs_none(lake: Lake):
    assert lake_variables(lake, ENVIRONMENT) == {}
    assert missing_package(lake) is None


def test_a_command_gets_the_same():
    assert access_of(REFERRED, ENVIRONMENT) == Access(
        endpoint_url="https://minio.example.com", region="eu-central-1", key="AKIA1", secret="hush"
    )
    with pytest.raises(SecretError, match="LAKE_ID is not set"):
        access_of(REFERRED, {})


def test_the_package_is_there_in_development():
    assert missing_package(REFERRED) is None
