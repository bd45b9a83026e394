"""The sockets on which a host listens: bound at its start, or taken over from the supervisor before."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from gateway.serve.fleet import Part, Ports
from gateway.serve.handover import Inheritance
from gateway.serve.ports import StartError, bind
from gateway.settings.schema import Server


def inherited_ports(inheritance: Inheritance, held: ExitStack) -> Ports:
    """Return what was handed over."""
    passed = inheritance.estate.descriptors[1:]
    gateway, console, *others = [held.enter_context(socket.socket(fileno=one)) for one in passed]
    return Ports(gateway, console, others[0] if others else None)


def bound_ports(role: Part, server: Server, held: ExitStack) -> Ports:
    """Listen for callers and operators, as far as this part of a fleet has them.

    Raises:
        StartError: an address is taken, foreign or malformed.
    """
    gateway = bind(server.host, server.port, held) if role != "console" else None
    console = bind(server.console_host, server.console_port, held) if role != "gateway" else None
    return Ports(gateway, console, None)


def with_metrics(ports: Ports, server: Server, held: ExitStack, notes: list[str]) -> Ports:
    """Listen for who scrapes, where a shipper runs; a port that is taken is a note, and no reason to serve nobody."""
    if ports.gateway is None or ports.metrics is not None:
        return ports
    try:
        return ports._replace(metrics=bind(server.metrics_host, server.metrics_port, held))
    except StartError as error:
        notes.append(f"/metrics is not served: {error}, under [server] metrics_port")
        return ports
