"""Which paths a model answers at. Everything that is not in this table is not simulated."""

from __future__ import annotations

from gateway.simulate.chat import CHAT
from gateway.simulate.completions import COMPLETIONS
from gateway.simulate.embeddings import EMBEDDINGS
from gateway.simulate.moderations import MODERATIONS
from gateway.simulate.reply import Endpoint

ENDPOINTS: dict[str, Endpoint] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/moderations": MODERATIONS,
}
