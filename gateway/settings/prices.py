"""Give models the prices that tables have for them: the operator's file first, then the table that Turnout ships.

A file that is wrong is an error of the configuration as a whole, so that the last good prices stay with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from analytics.pricetable import PriceTableError, indexed, price_of, read_table
from analytics.pricing import Price
from gateway.settings.problem import Problem, SettingsError, error_at, quoted
from gateway.settings.schema import Configuration, Model, Upstream

SHIPPED = Path(__file__).parent / "pricelists" / "openai-2026-11-22.json"
_OPENAI = "api.openai.com"
_LARGEST_BYTES = 16 * 1024 * 1024
"""LiteLLM's own file has 3 MB."""
_MOST_PROBLEMS = 20
_PLACE = ("prices", "file")


def priced(configuration: Configuration, path: Path) -> Configuration:
    """Return the configuration with every price that the tables know; `path` is its file.

    Raises:
        SettingsError: the file of prices cannot be read, or is no table of prices.
    """
    prices = configuration.prices
    file = path.absolute().parent / prices.file if prices.file is not None else None
    own = _imported(file, quoted(prices.file or ""), path) if file is not None else {}
    tables = {name: _table(upstream, prices.table, own) for name, upstream in configuration.upstreams.items()}
    catcher = next((name for name, upstream in configuration.upstreams.items() if upstream.models == "*"), None)
    return replace(
        configuration,
        models={name: _priced(name, model, tables) for name, model in configuration.models.items()},
        prices=replace(
            prices,
            file=str(file) if file is not None else None,
            table=tables[catcher] if catcher is not None else prices.table,
        ),
    )


def shipped() -> dict[str, Price]:
    """Return the table that Turnout ships."""
    return read_table(SHIPPED.read_bytes())


def _table(upstream: Upstream, inline: Mapping[str, Price], own: Mapping[str, Price]) -> dict[str, Price]:
    """Return what prices this upstream's models, by name; what the file has wins over what is shipped."""
    default = "all" if urlsplit(upstream.base_url).hostname == _OPENAI else "file"
    match upstream.prices or default:
        case "all":
            return {**shipped(), **own, **inline}
        case "file":
            return {**own, **inline}
        case _:
            return dict(inline)


def _priced(name: str, model: Model, tables: Mapping[str, Mapping[str, Price]]) -> Model:
    if model.price is not None or model.upstream not in tables:
        return model
    return replace(model, price=price_of(name, indexed(tables[model.upstream])))


def _imported(file: Path, named: str, path: Path) -> dict[str, Price]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        message = f"{named} cannot be read: {reason}; name a file in LiteLLM's format, or take the key out"
        raise SettingsError(str(path), [error_at(_PLACE, message)]) from error
    if len(content) > _LARGEST_BYTES:
        message = f"{named} is larger than {_LARGEST_BYTES} bytes; keep to the models that you use"
        raise SettingsError(str(path), [error_at(_PLACE, message)])
    try:
        return read_table(content)
    except PriceTableError as error:
        raise SettingsError(str(path), _problems(named, error)) from error


def _problems(named: str, error: PriceTableError) -> list[Problem]:
    shown = [error_at(_PLACE, f"{named}: {problem}") for problem in error.problems[:_MOST_PROBLEMS]]
    more = len(error.problems) - len(shown)
    return [*shown, *([error_at(_PLACE, f"{named}: {more} more problems of this kind")] if more else [])]
