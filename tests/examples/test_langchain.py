"""LangChain's own standard tests of a chat model pass through Turnout."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.harness import Installation
from tests.examples.stage import ROOT, langchain_python, run

SKIPPED = {
    "test_audio_inputs",
    "test_image_inputs",
    "test_image_tool_message",
    "test_pdf_inputs",
    "test_pdf_tool_message",
    "test_stream_time",
}
"""What fetches from the web, or measures with recorded answers."""
PASSED = 44
SETTINGS = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "suite", ["TestThroughTurnout", pytest.param("TestThroughTurnoutByResponses", marks=pytest.mark.slow)]
)
def test_the_standard_tests_of_a_chat_model_pass(suite: str, one: Installation, tmp_path: Path):
    python = langchain_python()
    file = shutil.copy(ROOT / "tests/examples/langchain_standard.py", tmp_path)
    settings = tmp_path / "pytest.ini"
    settings.write_text(SETTINGS)
    report = tmp_path / "report.xml"
    words = [
        python,
        "-m",
        "pytest",
        "-q",
        "-c",
        str(settings),
        "-p",
        "no:cacheprovider",
        f"--junitxml={report}",
        f"{file}::{suite}",
    ]

    done = run(words, one, tmp_path)

    assert done.returncode == 0, done.stdout
    cases = list(ET.parse(report).iter("testcase"))
    skipped = [case.attrib["name"] for case in cases if case.find("skipped") is not None]
    assert sorted(skipped) == sorted(SKIPPED)
    assert len(cases) - len(skipped) == PASSED
