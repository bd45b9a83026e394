"""Which paths a model answers at by the request alone; `app` adds those that remember something."""

from __future__ import annotations

from gateway.simulate.chat import CHAT
from gateway.simulate.completions import COMPLETIONS
from gateway.simulate.embeddings import EMBEDDINGS
from gateway.simulate.moderations import MODERATIONS
from gateway.simulate.reply import Endpoint

STATELESS: dict[str, Endpoint] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/moderations": MODERATIONS,
}
