"""Which paths a model answers at by the request alone; `app` adds those that remember something."""

from __future__ import annotations

from gateway.simulate.chat import CHAT
from gateway.simulate.completions import COMPLETIONS
from gateway.simulate.embeddings import EMBEDDINGS
from gateway.simulate.images import EDITS, GENERATIONS
from gateway.simulate.moderations import MODERATIONS
from gateway.simulate.reply import Endpoint
from gateway.simulate.speech import SPEECH
from gateway.simulate.transcriptions import TRANSCRIPTIONS, TRANSLATIONS

STATELESS: dict[str, Endpoint] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": COMPLETIONS,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/moderations": MODERATIONS,
    "/v1/images/generations": GENERATIONS,
    "/v1/images/edits": EDITS,
    "/v1/audio/speech": SPEECH,
    "/v1/audio/transcriptions": TRANSCRIPTIONS,
    "/v1/audio/translations": TRANSLATIONS,
}
