"""What a simulated server is told: its models and how each behaves. Unknown keys are refused.

Every refusal names the file, the place in it, the value and the remedy.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=3_600_000)]
Sigma = Annotated[float, Meta(ge=0, le=5)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Status = Annotated[int, Meta(ge=400, le=599)]
Fault = Literal["stall_head", "stall_stream", "malformed", "early_error", "cut", "reset_head", "reset_stream", "slow"]
"""What can go wrong other than by an error's status; `faults` tells how."""


_ROUNDING = 1e-9


class BadSimulationError(ValueError):
    """A simulation that cannot be read; the message names file, place, value and remedy."""


class SimulatedModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one model behaves.

    Time to first token and answer length are lognormal: a median and the sigma of the logarithm (0: always the
    median); `length_factor` multiplies every length, also one that a request fixes. `errors` maps an HTTP status to the
    share of requests that get it, `faults` what else goes wrong. Reasoning tokens are part of an answer's tokens,
    cached tokens a share of the prompt's; audio tokens are parts of each. `quality` is the share of answers that a
    simulated user likes.
    """

    ttft_ms: Milliseconds = 200.0
    ttft_sigma: Sigma = 0.3
    ms_per_token: Milliseconds = 5.0
    output_tokens: Annotated[int, Meta(ge=1, le=100_000)] = 220
    output_sigma: Sigma = 0.4
    length_factor: Annotated[float, Meta(gt=0, le=100)] = 1.0
    tokens_per_chunk: Annotated[int, Meta(ge=1, le=100_000)] = 4
    errors: dict[Status, Share] = {}
    retry_after_s: Count = 1
    faults: dict[Fault, Share] = {}
    slow_factor: Annotated[float, Meta(ge=1, le=1_000)] = 10.0
    reasoning_tokens: Count = 0
    cached_share: Share = 0.0
    input_audio_tokens: Count = 0
    output_audio_tokens: Count = 0
    quality: Share = 1.0
    embedding_dimensions: Annotated[int, Meta(ge=1, le=8_192)] = 1_536


class Simulation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated server.

    All delays are multiplied by `time_scale`. With a `seed` the n-th request of a model always gets the same answer.
    With `keys`, callers must send one of them. The last `keep_last` requests are kept for `GET /simulate/last`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    seed: int | None = None
    time_scale: Annotated[float, Meta(ge=0, le=1_000)] = 1.0
    keys: tuple[str, ...] = ()
    keep_last: Annotated[int, Meta(ge=0, le=100_000)] = 0
    models: dict[str, SimulatedModel] = {}


def load(path: Path) -> Simulation:
    """Read a simulation file (TOML).

    Raises:
        BadSimulationError: it is missing, is not TOML, or says something that it may not.
    """
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); name a TOML file with a [models.NAME] table"
        raise BadSimulationError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path}: is not TOML: {error}"
        raise BadSimulationError(message) from error
    return simulation(tree, source=str(path))


def simulation(tree: Mapping[str, Any], *, source: str) -> Simulation:
    """Judge a parsed file; `source` is what messages call it.

    Raises:
        BadSimulationError: a key is unknown, a value is out of range, or there is no model.
    """
    top = dict(tree)
    sections = top.pop("models", {})
    whole = _convert(top, Simulation, source, "")
    if not isinstance(sections, dict) or not sections:
        message = f'{source}: no model is configured; add a table such as [models."gpt-4o-mini"]'
        raise BadSimulationError(message)
    named: dict[str, Any] = sections  # pyright: ignore[reportUnknownVariableType] - TOML tables have string keys
    models = {name: _model(name, section, source) for name, section in named.items()}
    return msgspec.structs.replace(whole, models=models)


def _model(name: str, section: object, source: str) -> SimulatedModel:
    place = f'models."{name}".'
    model = _convert(section, SimulatedModel, source, place)
    total = sum(model.errors.values()) + sum(model.faults.values())
    if total > 1 + _ROUNDING:
        what = "errors and faults" if model.errors and model.faults else "faults" if model.faults else "errors"
        message = f"{source}: {place}{what}: the shares add up to {total:g}; they may not exceed 1"
        raise BadSimulationError(message)
    return model


_Kind = TypeVar("_Kind", bound=msgspec.Struct)


def _convert(value: object, kind: type[_Kind], source: str, place: str) -> _Kind:
    try:
        return msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise BadSimulationError(_explain(error, value, kind, source, place)) from error


def _explain(error: Exception, value: object, kind: type[msgspec.Struct], source: str, place: str) -> str:
    said, _, path = str(error).partition(" - at `")
    if unknown := re.search(r"unknown field `(.+)`", said):
        known = ", ".join(kind.__struct_fields__)
        return f"{source}: {place}{unknown[1]}: no such key; the keys here are {known}"
    found = re.search(r"\$\.(\w+)", path)
    if found is None:
        return f"{source}: {place.rstrip('.') or 'the file'}: {said}; write a table of keys"
    key = found[1]
    given: object = value.get(key) if isinstance(value, dict) else value  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - anything that TOML can say
    return f"{source}: {place}{key} = {given!r}: {said}"
