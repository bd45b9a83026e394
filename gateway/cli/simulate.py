"""`turnout simulate`: a simulated model server to try rollouts with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli import Abort
from gateway.simulate.config import BadSimulationError, Simulation, load, simulation

DEFAULT_MODEL = "gpt-4o-mini"

_MODEL_OPTIONS: dict[str, tuple[type[int | float], str]] = {
    "ttft_ms": (float, "median time to the first token, in milliseconds (200)"),
    "ttft_sigma": (float, "spread of it: sigma of its logarithm; 0: none (0.3)"),
    "ms_per_token": (float, "milliseconds for each further token (5)"),
    "output_tokens": (int, "median length of an answer, in tokens (220)"),
    "output_sigma": (float, "spread of it: sigma of its logarithm; 0: none (0.4)"),
    "tokens_per_chunk": (int, "tokens in each chunk of a stream (4)"),
    "reasoning_tokens": (int, "tokens of each answer that are reasoning (0)"),
    "cached_share": (float, "share of each prompt that counts as cached, 0 to 1 (0)"),
    "quality": (float, "share of answers that simulated users like, 0 to 1 (1)"),
}
_SERVER_OPTIONS: dict[str, tuple[type[int | float | str], str]] = {
    "host": (str, "where to listen (127.0.0.1)"),
    "port": (int, "where to listen; 0: any free port (0)"),
    "seed": (int, "draw the same latencies, lengths and errors every time"),
    "time_scale": (float, "all delays are multiplied by this (1)"),
    "keep_last": (int, "requests kept for GET /simulate/last (0)"),
}


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "simulate",
        help="run a simulated model server",
        description="An OpenAI-compatible server whose models are simulated: several by FILE, or one by options.",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a simulation file (TOML)")
    parser.add_argument("--model", metavar="NAME", help=f"the one model's name ({DEFAULT_MODEL})")
    for table in (_MODEL_OPTIONS, _SERVER_OPTIONS):
        for name, (kind, text) in table.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    parser.add_argument("--error-rate", type=float, metavar="N", help="share of requests that fail, 0 to 1 (0)")
    parser.add_argument("--error-status", type=int, metavar="N", help="the HTTP status that they fail with (500)")
    parser.add_argument("--key", action="append", help="a key that callers must send; may be repeated")
    parser.add_argument("--json", action="store_true", help="print address and models as one JSON line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from gateway.simulate import server  # noqa: PLC0415 - `turnout --help` need not load a web server

    try:
        config = configuration(arguments)
        listening = server.listen(config)
    except BadSimulationError as error:
        raise Abort(str(error), exit_code=2) from error
    if arguments.json:
        sys.stdout.write(server.announcement(config, listening) + "\n")
    else:
        sys.stdout.write(f"Simulated models at {server.base_url(listening)} (Ctrl-C ends it):\n")
        sys.stdout.writelines(f"  {name}\n" for name in config.models)
    sys.stdout.flush()
    server.run(config, sockets=[listening])
    return 0


def configuration(arguments: argparse.Namespace) -> Simulation:
    """Return what the options ask for.

    Raises:
        BadSimulationError: the file or an option is wrong.
        Abort: options that describe a model stand beside a file, which describes its own.
    """
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    model = {name: given[name] for name in _MODEL_OPTIONS if name in given}
    top = {name: given[name] for name in _SERVER_OPTIONS if name in given}
    if "key" in given:
        top["keys"] = given["key"]
    if arguments.file is not None:
        beside = [*(["model"] if arguments.model else []), *model, *(n for n in given if n.startswith("error_"))]
        if beside:
            option = beside[0].replace("_", "-")
            message = f"--{option} describes one model and {arguments.file} describes its own; give one or the other"
            raise Abort(message, exit_code=2)
        return _overridden(load(arguments.file), top)
    if "error_rate" in given:
        model["errors"] = {str(given.get("error_status", 500)): given["error_rate"]}
    return simulation({**top, "models": {arguments.model or DEFAULT_MODEL: model}}, source="the options")


def _overridden(config: Simulation, top: dict[str, Any]) -> Simulation:
    checked = simulation({**top, "models": {"any": {}}}, source="the options")
    return msgspec.structs.replace(
        config, **{("keys" if name == "key" else name): getattr(checked, name) for name in top}
    )
