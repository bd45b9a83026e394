from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from gateway.serve.fleet import Part
from gateway.serve.listeners import bound_ports, with_metrics
from gateway.settings.schema import Server

SERVER = Server(port=0, console_port=0, metrics_port=0)


@pytest.mark.parametrize(
    ("role", "there"), [("all", (True, True)), ("gateway", (True, False)), ("console", (False, True))]
)
def test_a_part_of_a_fleet_listens_where_it_is_needed(role: Part, there: tuple[bool, bool]) -> None:
    with ExitStack() as held:
        ports = bound_ports(role, SERVER, held)

        assert (ports.gateway is not None, ports.console is not None) == there
        assert ports.metrics is None


@pytest.mark.parametrize("role", ["all", "gateway"])
def test_where_a_shipper_runs_a_free_metrics_port_is_listened_on_without_a_word(role: Part) -> None:
    notes: list[str] = []
    with ExitStack() as held:
        ports = with_metrics(bound_ports(role, SERVER, held), SERVER, held, notes)

        assert ports.metrics is not None
        assert ports.metrics.getsockname()[0] == "127.0.0.1"
        assert with_metrics(ports, SERVER, held, notes) is ports
    assert not notes


def test_a_console_alone_has_no_metrics() -> None:
    with ExitStack() as held:
        ports = bound_ports("console", SERVER, held)

        assert with_metrics(ports, SERVER, held, []) is ports


def test_a_metrics_port_that_is_taken_is_a_note() -> None:
    notes: list[str] = []
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0)) as taken:
        server = Server(port=0, metrics_port=taken.getsockname()[1])

        assert with_metrics(bound_ports("gateway", server, held), server, held, notes).metrics is None
    assert len(notes) == 1
    assert notes[0].endswith("choose another address, or port 0 for any free one, under [server] metrics_port")
