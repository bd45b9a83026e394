"""Give models the prices that tables have for them: the operator's file first, then the table that Turnout ships.

A file that is wrong is an error of the configuration as a whole, so that the last good prices stay with it. A price
that may be in a wrong unit is a warning, or an error where it cannot be right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from analytics.plausible import MOST_USD, doubts, is_beyond_belief
from analytics.pricetable import KEYS, PriceTableError, indexed, price_of, read_table
from analytics.pricing import Price
from gateway.settings.problem import Keys, Problem, SettingsError, error_at, quoted, warning_at
from gateway.settings.schema import Configuration, Model, Upstream

SHIPPED = Path(__file__).parent / "pricelists" / "openai-2026-11-22.json"
_OPENAI = "api.openai.com"
_LARGEST_BYTES = 16 * 1024 * 1024
"""LiteLLM's own file has 3 MB."""
_MOST_PROBLEMS = 20
_PLACE = ("prices", "file")


def priced(configuration: Configuration, path: Path) -> tuple[Configuration, tuple[Problem, ...]]:
    """Return the configuration with every price that the tables know, and what is doubtful; `path` is its file.

    Raises:
        SettingsError: the file of prices cannot be read, or is no table of prices, or a price cannot be right.
    """
    prices = configuration.prices
    file = path.absolute().parent / prices.file if prices.file is not None else None
    named = quoted(prices.file or "")
    imported = _imported(file, named, path) if file is not None else {}
    problems = (*_doubtful(configuration), *_few(list(_doubtful_file(imported, named)), named))
    if any(problem.severity == "error" for problem in problems):
        raise SettingsError(str(path), sorted(problems, key=lambda problem: problem.severity))
    own = {model: price for model, price in imported.items() if not is_beyond_belief(price)}
    return _with_prices(configuration, file, own), problems


def _with_prices(configuration: Configuration, file: Path | None, own: Mapping[str, Price]) -> Configuration:
    prices = configuration.prices
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


def _doubtful(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is doubtful in the prices that the configuration gives itself."""
    own: dict[Keys, tuple[str, Price | None]] = {
        ("models", name, "price"): (name, model.price) for name, model in configuration.models.items()
    }
    table = {("prices", "table", name): (name, price) for name, price in configuration.prices.table.items()}
    for place, (name, price) in {**own, **table}.items():
        for doubt in doubts(price, _listed(name)) if price is not None else ():
            unit = "USD per second" if doubt.part == "input_second" else "USD per million tokens"
            found = error_at if doubt.is_error else warning_at
            yield found((*place, doubt.part), f"{doubt.message}; write {unit}")


def _doubtful_file(prices: Mapping[str, Price], named: str) -> Iterator[Problem]:
    for model, price in prices.items():
        place = f"{named}: {quoted(model)}"
        found = list(doubts(price, _listed(model)))
        if is_beyond_belief(price) and not any(doubt.is_error for doubt in found):
            message = (
                f"{place}: has a price above {MOST_USD:g} USD per million tokens, so none is used and costs are unknown"
            )
            yield warning_at(_PLACE, f"{message}; write USD per token, such as 1.5e-07")
            continue
        for doubt in found:
            seconds = doubt.part == "input_second"
            read = "" if seconds else " (in USD per million tokens)"
            line = (
                f"{place}.{KEYS[doubt.part]}: {doubt.message}{read}; write USD per {'second' if seconds else 'token'}"
            )
            yield error_at(_PLACE, line) if doubt.is_error else warning_at(_PLACE, line)


@cache
def _known() -> Mapping[str, Price]:
    return indexed(shipped())


def _listed(model: str) -> Price | None:
    """Return the shipped price of a model, also where its name begins with that of a provider: `openai/gpt-4o`."""
    return price_of(model.rpartition("/")[2], _known())


def _few(problems: list[Problem], named: str) -> list[Problem]:
    """Return the first problems of a file, errors before warnings, and how many more there are."""
    first = sorted(problems, key=lambda problem: problem.severity)
    more = len(first) - _MOST_PROBLEMS
    if more <= 0:
        return first
    return [*first[:_MOST_PROBLEMS], warning_at(_PLACE, f"{named}: {more} more problems of this kind")]


def _problems(named: str, error: PriceTableError) -> list[Problem]:
    shown = [error_at(_PLACE, f"{named}: {problem}") for problem in error.problems[:_MOST_PROBLEMS]]
    more = len(error.problems) - len(shown)
    return [*shown, *([error_at(_PLACE, f"{named}: {more} more problems of this kind")] if more else [])]
