"""Every word that `error_class` of a record can have is documented in docs/lake.md, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gateway.proxy.upstream import Limit

ROOT = Path(__file__).parent.parent
OUTSIDE = {"feedback.py", "guard.py", "head.py", "hosts.py"}
"""Modules whose refusals stand in no record of a request."""

NOT_RECORDED = {
    *("bad_path", "method_not_allowed"),
    *("headers_too_large", "http_version_not_supported", "request_timeout", "url_too_long"),
    *("forbidden", "invalid_request", "overloaded", "upstream_error", "upstream_timeout"),
}
"""Refused before a record begins; refused by the guard; codes whose errors always bring a word of their own."""


def constants(tree: ast.Module) -> dict[str, str]:
    """Return a module's strings by name."""
    return {name: text for node in tree.body if isinstance(node, ast.Assign) for name, text in assigned(node)}


def assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, str]]:
    """Yield what an assignment gives strings to, `a, b = "x", "y"` too: the last name and the string."""
    target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    else:
        pairs = [(target, value)]
    for left, right in pairs:
        name = left.attr if isinstance(left, ast.Attribute) else getattr(left, "id", "")
        if isinstance(right, ast.Constant) and isinstance(right.value, str):
            yield name, right.value


def words_in(source: str) -> Iterator[str]:
    """Yield the words that a module makes error classes of."""
    tree = ast.parse(source)
    known = constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (text for name, text in assigned(node) if name in {"code", "error_class"})
        elif isinstance(node, ast.keyword) and node.arg in {"code", "error_class"}:
            yield from written(node.value, known)
        elif isinstance(node, ast.Call) and called(node) in {"RefusedFault", "BrokenFault", "_break"}:
            yield from written(node.args[0], known)
        elif isinstance(node, ast.FunctionDef) and node.name == "unusable":
            ends = [end.value for end in ast.walk(node) if isinstance(end, ast.Return) and end.value]
            yield from (word for end in ends for part in ast.walk(end) for word in written(part, known))


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def written(node: ast.AST | None, known: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in known:
        yield known[node.id]


def test_the_words_of_error_class_are_documented_exactly():
    paths = [ROOT / "gateway/errors.py", *(ROOT / "gateway/proxy").glob("*.py")]
    found = {word for path in paths if path.name not in OUTSIDE for word in words_in(path.read_text())}
    _, _, section = (ROOT / "docs/lake.md").read_text().partition("### The words of `error_class`")
    table = "".join(re.findall(r"^\| `.*?\|", section.partition("\n## ")[0], re.MULTILINE))
    timeouts = {f"{limit}_timeout" for limit in get_args(Limit)}

    assert set(re.findall(r"`([a-z_]+)`", table)) == (found - NOT_RECORDED) | timeouts
    assert found >= NOT_RECORDED
    assert "`http_NNN`" in table


@pytest.mark.parametrize(
    "source",
    [
        'raise ShedError("x", error_class="word")',
        'raise BadRequestError("x", param="y", code="word")',
        'class One(ApiError):\n    code = "word"',
        'class One(Exception):\n    code: str | None = "word"',
        '_WORD = "word"\nraise BrokenFault(_WORD)',
        '_OTHER, _WORD = "other", "word"\nraise RefusedFault(_WORD)',
        'def f(self):\n    outcome, error_class = "malformed", "word"\n    self.error_class = "word"',
        'def unusable(answer):\n    return "word" if answer else None',
    ],
)
def test_a_word_is_found_however_it_is_given(source: str):
    assert set(words_in(source)) == {"word"}
