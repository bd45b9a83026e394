from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.lake.place import Place, lake_directory

WITHOUT_S3FS = """
import sys
sys.modules["s3fs"] = None
from analytics.lake.place import MissingPackageError, Place
try:
    Place(url="s3://bucket").open()
except MissingPackageError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("url", "path"), [("/var/lake", "/var/lake"), ("lake", "lake"), ("file:///var/a%20lake", "/var/a lake")]
)
def test_a_lakes_address_is_a_path_or_a_file_url(url: str, path: str) -> None:
    assert lake_directory(url) == Path(path)
    assert isinstance(Place(url=url).open(), Directory)


def test_without_the_package_the_message_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_S3FS], capture_output=True, text=True, check=True)

    assert "pip install 'turnout[s3]'" in done.stdout
