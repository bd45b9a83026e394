from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.serve.ports import StartError, bind, url, write


def test_a_bound_socket_listens_until_it_is_let_go():
    with ExitStack() as held:
        bound = bind("127.0.0.1", 0, held)
        with socket.create_connection(bound.getsockname()):
            pass

        assert url(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"
    assert bound.fileno() == -1


def test_an_address_that_is_taken_is_refused_with_the_remedy():
    with ExitStack() as held:
        taken = bind("127.0.0.1", 0, held).getsockname()[1]

        with pytest.raises(StartError, match="port 0 for any free one"):
            bind("127.0.0.1", taken, held)


def test_an_unspecified_address_is_reached_by_loopback():
    with ExitStack() as held:
        assert url(bind("0.0.0.0", 0, held)).startswith("http://127.0.0.1:")


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path):
    write(tmp_path / "keys", b"secret", 0o600)

    assert (tmp_path / "keys").read_bytes() == b"secret"
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path):
    with pytest.raises(StartError, match="make the state directory writable"):
        write(tmp_path / "missing" / "keys", b"", 0o600)
