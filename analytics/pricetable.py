"""Price tables in LiteLLM's format: which entry prices a model, and what a file of that format says. Pure.

The format: model name -> keys in USD per token. What is billed is read, known descriptions and prices in other units
are passed over, and whatever else looks like a price is refused, with the model and the key.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from msgspec.structs import replace

from analytics.pricing import Conditional, Price

_RATES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_creation",
    "cache_creation_input_token_cost_above_12hr": "cache_creation_long",
    "output_cost_per_reasoning_token": "reasoning_output",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_second": "input_second",
}
KEYS = {part: key for key, part in _RATES.items()}
"""The format's key of a part's standard rate."""
_TIERS = {"batches": "batch", "flex": "flex", "priority": "priority", "ultrafast": "ultrafast"}
"""The format's suffix, and what an answer's `service_tier` says."""

_KEY = re.compile(rf"({'|'.join(_RATES)})(?:_above_([1-9][0-9]{{0,3}})k_tokens)?(?:_({'|'.join(_TIERS)}))?")
_OTHER_UNIT = re.compile(
    r"(?!.*_per_token)\w+_per_(second|minute|hour|character|image|pixel|query|queries|request|page|credit|session|call|"
    r"text_message|unit|gb|video|1k)(_.+)?|(in|out)put_dbu_cost_per_token|citation_cost_per_token|"
    r"cache_\w+_input_(audio|image)_token_cost\w*|\w+_above_1hr\w*|explicit_cache_\w+|web_search_billing_unit|"
    rf"({'|'.join(_RATES)})\w*_(decisions|balanced|cache_hit)"
)
"""Known, and not billed: other units, tiers that answers do not name, cached audio (which only sessions report)."""

_OTHER_WAY = frozenset({"tiered_pricing", "off_peak_pricing"})
"""A model with one of these has more prices than its tokens tell apart, so that it has none here."""

_LIKE_A_PRICE = re.compile(r"cost|price|pricing|(^|_)per_|fee(s|$)")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_]{1,80}")
_NO_MODEL = frozenset({"sample_spec"})
"""LiteLLM's file begins with an entry that explains the others."""

_MOST_USD = 0.01
"""Per token; fifteen times the dearest model. Prices per million tokens are above it, but for a few cached ones."""
_MOST_INT = 2**63
_LEAST_USD = 1e-11
_MOST_USD_A_SECOND = 1.0
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})$")
_FINE_TUNED = "ft:"
_ANY_DATE = "-*"
_LONGEST_NAME = 256
_LONGEST_SHOWN = 80


class PriceTableError(ValueError):
    """A file that is no price table; `problems` names every place: model, key, what is wrong and the remedy."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def price_of(model: str, table: Mapping[str, Price]) -> Price | None:
    """Return a model's price out of an `indexed` table.

    A fine-tuned model `ft:base:org:name:id` without an entry of its own is priced as `ft:base`; failing that, a dated
    base as the one without a date, and one without as the dated ones, if they agree. Never as the base model itself,
    which is cheaper, and never by another date.
    """
    own = table.get(model)
    if own is not None or not model.startswith(_FINE_TUNED):
        return own
    base = _base(model)
    undated = _DATE.sub("", base)
    return table.get(base) or table.get(undated if undated != base else base + _ANY_DATE)


def indexed(prices: Mapping[str, Price]) -> dict[str, Price]:
    """Return a table in which `price_of` also finds what dated `ft:` entries agree on."""
    agreed = {name: next(iter(found.values())) for name, found in _dated(prices) if len(set(found.values())) == 1}
    return {**{name + _ANY_DATE: price for name, price in agreed.items()}, **prices}


def read_table(content: bytes) -> dict[str, Price]:
    """Read a file in LiteLLM's format; models that it prices neither by tokens nor by seconds are left out.

    Raises:
        PriceTableError: it is no JSON object of models, or a price in it is unknown, negative or in another unit.
    """
    problems: list[str] = []
    prices: dict[str, Price] = {}
    for model, entry in _entries(content).items():
        if model in _NO_MODEL:
            continue
        found = list(_entry_problems(model, entry))
        problems += found
        price = None if found else _price(cast("dict[str, Any]", entry))
        if price is not None:
            prices[model] = price
    if problems:
        raise PriceTableError(problems)
    if not prices:
        raise PriceTableError(["prices no model; each model needs input_cost_per_token and output_cost_per_token"])
    return prices


def name_fault(model: str) -> str:
    """Return what keeps a text from being a model's name, or nothing: half of a surrogate pair, say."""
    if 1 <= len(model) <= _LONGEST_NAME and model.isprintable():
        return ""
    return f"is no model's name; write 1 to {_LONGEST_NAME} characters that print, or take the model out"


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def _base(model: str) -> str:
    return ":".join(model.split(":", 2)[:2])


def _dated(prices: Mapping[str, Price]) -> Iterator[tuple[str, dict[str, Price]]]:
    groups: dict[str, dict[str, Price]] = {}
    for name, price in prices.items():
        undated = _DATE.sub("", name)
        if undated != name and name.startswith(_FINE_TUNED) and name.count(":") == 1:
            groups.setdefault(undated, {})[name] = price
    yield from groups.items()


def _entries(content: bytes) -> dict[str, Any]:
    try:
        tree: Any = json.loads(content, object_pairs_hook=_unique)
    except PriceTableError:
        raise
    except RecursionError:
        raise PriceTableError(["is nested too deeply; a price table has models, and keys with numbers"]) from None
    except ValueError as error:
        raise PriceTableError([f"is not JSON: {error}"]) from None
    if not isinstance(tree, dict):
        raise PriceTableError(["is not a JSON object; a price table names models, each with its prices"])
    return cast("dict[str, Any]", tree)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PriceTableError([f"names {_shown(twice)} twice; take one of them out"])
    return found


def _entry_problems(model: str, entry: object) -> Iterator[str]:
    place = _shown(model)
    if fault := name_fault(model):
        yield f"{place}: {fault}"
    if not isinstance(entry, dict):
        yield f"{place}: is not an object; write its prices in braces"
        return
    for key, value in cast("dict[str, Any]", entry).items():
        fault = _number_fault(key, value) if _KEY.fullmatch(key) else _key_fault(key)
        if fault:
            yield f"{place}.{key if _PLAIN_KEY.fullmatch(key) else _shown(key)}: {fault}"


def _key_fault(key: str) -> str:
    if _OTHER_UNIT.fullmatch(key) or key in _OTHER_WAY or not _LIKE_A_PRICE.search(key):
        return ""
    near = difflib.get_close_matches(key[:_LONGEST_SHOWN], _RATES, n=1)
    return f"unknown price{f'; did you mean {json.dumps(near[0])}?' if near else '; take it out, or bill it elsewhere'}"


def _number_fault(key: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "is no number; write USD per token, such as 1.5e-07"
    if isinstance(value, int) and abs(value) >= _MOST_INT:
        return f"a number of {len(str(abs(value)))} digits is no price; write USD per token, such as 1.5e-07"
    if not math.isfinite(value):
        return f"{value} is not finite; write USD per token, such as 1.5e-07"
    if value < 0:
        return f"{value:g} is below 0; write a price of 0 or more, in USD"
    return _unit_fault(key, value)


def _unit_fault(key: str, value: float) -> str:
    if key == "input_cost_per_second":
        return f"{value:g} is no price of a second; write USD per second" if value > _MOST_USD_A_SECOND else ""
    if value > _MOST_USD:
        return f"{value:g} looks like USD per million tokens; write USD per token: {value / 1e6:g}"
    if 0 < value < _LEAST_USD:
        return f"{value:g} is too small for a price; write USD per token, such as 1.5e-07"
    return ""


def _price(entry: Mapping[str, Any]) -> Price | None:
    """Return what an entry bills by; tokens at 0 beside a price in another unit are not free, but not billed by tokens.

    What a speech model reports is one output count, and all of it is audio.
    """
    conditions: dict[tuple[str | None, int | None], dict[str, float]] = {}
    for key, value in entry.items():
        found = _KEY.fullmatch(key)
        if found is None or value is None:
            continue
        condition = (_TIERS.get(found[3] or ""), int(found[2]) * 1000 if found[2] else None)
        part = _RATES[found[1]]
        conditions.setdefault(condition, {})[part] = float(value) if part == "input_second" else _per_million(value)
    standard = conditions.pop((None, None), {})
    when = sorted(conditions.items(), key=lambda one: (one[0][0] or "", one[0][1] or 0))
    price = Price(
        **standard,
        when=tuple(Conditional(tier=tier, above_tokens=above, **rates) for (tier, above), rates in when),
    )
    if _OTHER_WAY & entry.keys():
        return None
    if price.is_free and any(_OTHER_UNIT.fullmatch(key) and value for key, value in entry.items()):
        return None
    if entry.get("mode") == "audio_speech" and price.output_audio is not None:
        price = replace(price, output=price.output_audio)
    return price if price.input is not None or price.input_second is not None else None


def _per_million(usd_per_token: float) -> float:
    """Shift the point in the decimal notation: 1.5e-07 is 0.15, which 1.5e-07 * 1e6 is not always."""
    return float(Decimal(repr(usd_per_token)).scaleb(6))
