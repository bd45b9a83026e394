"""Text that is nobody's: every word of a simulated answer or prompt comes from here. Pure.

A token of text is one word with the space before it, so that a text of n tokens is n list items.
"""

from __future__ import annotations

_SENTENCES = (
    "The order will be ready on Thursday and the carrier collects it before noon.",
    "We compared both offers and the second one saves about a tenth of the yearly cost.",
    "Please confirm the delivery address so that the invoice can follow the same day.",
    "Customers who ask about the warranty usually want to know how a repair begins.",
    "The region sold more than expected while returns stayed where they were.",
    "A short call with the buyer would settle the open question about payment terms.",
    "Stock in the northern warehouse covers four weeks at the present rate.",
    "The discount applies from twenty units and ends with the current quarter.",
    "Their contract renews in spring unless either side writes a month before.",
    "I would answer the complaint first and speak about the new model afterwards.",
    "Two accounts have not ordered since summer and deserve a friendly reminder.",
    "The summary lists every meeting of the week with its result and the next step.",
)


def _tokens(text: str) -> list[str]:
    return [f" {word}" for word in text.split()]


OPENING = ["Simulated", " answer:"]
"""How every simulated answer begins: nobody shall take it for a model's."""
WEAK_OPENING = ["Simulated", " guess:"]
"""How those begin that a simulated user does not like."""

_CORPUS = [token for sentence in _SENTENCES for token in _tokens(sentence)]
_PLENTY = _CORPUS * 64
WRAP = len(_CORPUS)
"""Different places at which a text can start."""


def tokens(count: int, start: int) -> list[str]:
    """Return `count` tokens of running text from place `start` (0 to `WRAP` - 1)."""
    if start + count <= len(_PLENTY):
        return _PLENTY[start : start + count]
    return (_CORPUS * (count // WRAP + 2))[start : start + count]


def answer_tokens(count: int, start: int, *, good: bool = True) -> list[str]:
    """Return an answer of `count` tokens; it begins with `OPENING`, or with `WEAK_OPENING` when it is not good."""
    opening = OPENING if good else WEAK_OPENING
    return (opening + tokens(max(count - len(opening), 0), start))[:count]


def liked(text: str) -> bool | None:
    """Tell whether a simulated user likes an answer, by its wording alone; None: it has neither opening."""
    if "".join(WEAK_OPENING) in text:
        return False
    return True if "".join(OPENING) in text else None


_PROMPT_HEAD = "Synthesised prompt:"
_PROMPT_BODY = "".join(_PLENTY)


def prompt(size_bytes: int, start: int) -> str:
    """Return ASCII text of `size_bytes`, which says that it is synthesised."""
    body = _PROMPT_BODY
    while start + size_bytes > len(body):
        body += _PROMPT_BODY
    return (_PROMPT_HEAD + body[start : start + size_bytes])[:size_bytes]
