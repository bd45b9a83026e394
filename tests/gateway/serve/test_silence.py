from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.serve.silence import Silence
from rollout.notify.heartbeat import write_sign
from tests.fakes.webhook_receiver import until

TELLING = "import sys; open(sys.argv[1], 'a').write(sys.argv[3] + '\\n')"


class Host:
    """A supervisor's watch on a clock of the test's; what it starts writes the sign that it is told into `told`."""

    def __init__(self, folder: Path, program: str = TELLING) -> None:
        self.sign, self.told, self.now_s = folder / "sign", folder / "told", 0.0
        command = [sys.executable, "-c", program, str(self.told)]
        self.silence = Silence(self.sign, command, {}, silent_s=60.0, clock=lambda: self.now_s)

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now_s += 1.0
            self.silence.look()
            self.silence.look()

    def lines(self) -> list[str]:
        return self.told.read_text().splitlines() if self.told.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    one = Host(tmp_path)
    with closing(one.silence):
        yield one


def test_a_sign_that_stays_the_same_is_told_once(host: Host, caplog: pytest.LogCaptureFixture):
    write_sign(host.sign, "41")
    host.pass_by(200)

    until(lambda: host.lines() == ["41"])
    assert [record.getMessage() for record in caplog.records].count("THE CONTROLLER IS SILENT: nothing is decided") == 1
    write_sign(host.sign, "42")
    host.pass_by(200)
    until(lambda: host.lines() == ["41", "42"])


def test_a_sign_that_changes_is_no_silence(host: Host):
    for number in range(10):
        write_sign(host.sign, str(number))
        host.pass_by(30)

    assert host.silence._telling is None  # noqa: SLF001 - nobody was started


def test_where_there_never_was_a_sign_none_is_missed(host: Host):
    host.pass_by(300)

    assert host.silence._telling is None  # noqa: SLF001 - nobody was started


def test_what_tells_for_too_long_is_ended(tmp_path: Path):
    one = Host(tmp_path, "import time; time.sleep(60)")
    with closing(one.silence):
        write_sign(one.sign, "41")
        one.pass_by(70)
        telling = one.silence._telling  # noqa: SLF001 - the process
        assert telling is not None
        assert telling.poll() is None
        one.pass_by(200)
        until(lambda: telling.poll() is not None)
        write_sign(one.sign, "42")
        one.pass_by(70)


def test_a_process_that_cannot_be_started_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    now_s = [0.0]
    with closing(Silence(tmp_path / "sign", ["/nowhere/at/all"], {}, silent_s=1.0, clock=lambda: now_s[0])) as silence:
        write_sign(tmp_path / "sign", "41")
        for now_s[0] in (1.0, 2.0, 3.0):
            silence.look()

    assert "webhooks cannot be told of it" in caplog.text
