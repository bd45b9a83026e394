from __future__ import annotations

import subprocess
import sys

LIMITED = """
import resource
from gateway.settings.files import max_connections, raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
print(max_connections(), raise_open_files(), max_connections(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_as_many_files_may_be_open_as_the_system_allows_and_half_of_them_are_callers():
    done = subprocess.run([sys.executable, "-c", LIMITED], check=True, capture_output=True, text=True)

    assert [int(word) for word in done.stdout.split()] == [18, 300, 118, 300, 300]
