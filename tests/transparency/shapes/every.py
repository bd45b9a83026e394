"""All shapes. A new endpoint's shapes are listed here and nowhere else."""

from __future__ import annotations

from tests.transparency.shape import Call, Shape
from tests.transparency.shapes.chat_answers import ANSWERS
from tests.transparency.shapes.chat_requests import REQUESTS
from tests.transparency.shapes.chat_streams import STREAMS
from tests.transparency.shapes.chat_texts import TEXTS
from tests.transparency.shapes.errors import ERRORS
from tests.transparency.shapes.forms import FORMS
from tests.transparency.shapes.json_endpoints import JSON_ENDPOINTS
from tests.transparency.shapes.pass_through import PASS_THROUGH
from tests.transparency.shapes.responses import RESPONSES

SHAPES: tuple[Shape, ...] = (
    *REQUESTS,
    *TEXTS,
    *ANSWERS,
    *STREAMS,
    *ERRORS,
    *JSON_ENDPOINTS,
    *RESPONSES,
    *FORMS,
    *PASS_THROUGH,
)
CALLS: tuple[Call, ...] = tuple(call for shape in SHAPES for call in shape.calls())
STREAMED: tuple[Call, ...] = tuple(
    {(call.answer, call.usage == "asked"): call for call in CALLS if call.is_stream}.values()
)
"""One call for each stream that differs from the others in its bytes, or in what of them is withheld."""
