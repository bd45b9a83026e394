"""The other endpoints that take JSON with a model: completions, embeddings, moderations, images, speech, later ones."""

from __future__ import annotations

from typing import Any

from tests.fakes.reciting import Answer
from tests.transparency.shape import Shape, answering, asking, event, streaming
from tests.transparency.shapes.chat_requests import DONE, PIXEL, USAGE
from tests.transparency.shapes.errors import told

_USED = {"prompt_tokens": 5, "total_tokens": 5}
_JSON = b"content-type: application/json"
_SOUND = bytes(range(256)) * 40


def _completion(text: str, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": None, **more}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice], "model": "m"}


_COMPLETED = answering({**_completion(" upon a time", finish_reason="length"), "usage": USAGE})
_COMPLETING = streaming(
    event(_completion(" upon")),
    event(_completion(" a time", logprobs={"tokens": [" a", " time"], "token_logprobs": [-0.0, -1e-9]})),
    event(_completion("", finish_reason="length")),
    DONE,
    usage=event({"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": USAGE}),
)


def completions(name: str, **fields: Any) -> Shape:
    """Return a shape of the older text completions."""
    path = "/v1/completions"
    return Shape(name=f"completions-{name}", path=path, body=asking(**fields), whole=_COMPLETED, streamed=_COMPLETING)


def embeddings(name: str, answer: Answer, **fields: Any) -> Shape:
    """Return a shape of embeddings, which have no streams."""
    return Shape(name=f"embeddings-{name}", path="/v1/embeddings", body=asking(**fields), whole=answer)


def _vectors(*vectors: object) -> Answer:
    listed = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return answering({"object": "list", "data": listed, "model": "m", "usage": _USED})


def images(name: str, whole: Answer | None, streamed: Answer | None = None, **fields: Any) -> Shape:
    """Return a shape of image generation."""
    body = asking(prompt="A grey cat", **fields)
    return Shape(name=f"images-{name}", path="/v1/images/generations", body=body, whole=whole, streamed=streamed)


def _image(kind: str, **fields: Any) -> bytes:
    return event({"type": f"image_generation.{kind}", "b64_json": PIXEL, **fields}, kind=f"image_generation.{kind}")


def speech(name: str, answer: Answer, **fields: Any) -> Shape:
    """Return a shape of speech, whose streams are asked for by `stream_format`."""
    body = asking(input="Good morning.", voice="alloy", **fields)
    return Shape(name=f"speech-{name}", path="/v1/audio/speech", body=body, whole=answer)


def later(name: str, path: str, whole: Answer | None, streamed: Answer | None = None, **fields: Any) -> Shape:
    """Return a shape of an endpoint of which nothing is known."""
    return Shape(name=f"later-{name}", path=path, body=asking(**fields), whole=whole, streamed=streamed)


_HARM = {"flagged": True, "categories": {"hate": False, "self-harm/intent": True}, "category_scores": {"hate": 1e-7}}
_MADE = answering({"created": 1, "data": [{"b64_json": PIXEL * 30}], "usage": {"input_tokens": 5, "output_tokens": 9}})
_SPOKEN = Answer(body=_SOUND, headers=(b"content-type: audio/mpeg",), framing="chunked", cuts=(1, 100, 101, 5000))
_SPEAKING = streaming(
    event({"type": "speech.audio.delta", "audio": "SUQz"}),
    event({"type": "speech.audio.delta", "audio": ""}),
    event({"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 30, "total_tokens": 34}}),
)
_PICTURE = (b"content-type: image/png", b'content-disposition: attachment; filename="a b.png"')

JSON_ENDPOINTS = (
    completions("plain", prompt="Once", max_tokens=4),
    completions("many", prompt=["Once", "", "\u2028"], n=2, best_of=3, echo=True, logprobs=5, suffix="."),
    completions("tokens", prompt=[[1, 2, 50256], [3]], seed=2**63, logit_bias={"50256": -100}),
    embeddings("one", _vectors([0.1, -0.0, 1e-45, 1.10]), input="Good morning."),
    embeddings(
        "many-as-base64", _vectors("AACAvw==", "AAAAAA=="), input=["a", "", "\U0001f642"], encoding_format="base64"
    ),
    embeddings("tokens", _vectors([0]), input=[[1, 2], [3]], dimensions=256, user="u"),
    embeddings("large", _vectors(*[[0.5] * 1536] * 60), input=["word " * 100] * 60),
    embeddings("refused", told(b"400 Bad Request", "invalid_request_error", None, param="input"), input=[]),
    embeddings(
        "limited", told(b"429 Too Many Requests", "tokens", "rate_limit_exceeded", b"retry-after: 2"), input="x"
    ),
    Shape(
        name="moderations-text",
        path="/v1/moderations",
        body=asking(input=["Good morning.", "\u00fc"]),
        whole=answering({"id": "modr-1", "model": "m", "results": [_HARM, _HARM]}),
    ),
    Shape(
        name="moderations-image",
        path="/v1/moderations",
        body=asking(input=[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]),
        whole=answering({"id": "modr-1", "results": [_HARM]}),
    ),
    images("plain", _MADE, n=1, size="1024x1024", quality="low", background="transparent"),
    images(
        "address", answering({"created": 1, "data": [{"url": "https://images.example/a?b=c", "revised_prompt": "x"}]})
    ),
    images(
        "partial",
        None,
        streaming(
            _image("partial_image", partial_image_index=0),
            _image("partial_image", partial_image_index=1),
            _image("completed", usage={"input_tokens": 5, "output_tokens": 9, "total_tokens": 14}),
        ),
        partial_images=2,
    ),
    images("two-streamed", None, streaming(_image("completed"), _image("partial_image"), _image("completed")), n=2),
    images("filtered", told(b"400 Bad Request", "image_generation_user_error", "moderation_blocked"), n=2),
    speech("sound", _SPOKEN, response_format="mp3", speed=1.0, instructions="Slowly."),
    speech("counted", Answer(body=_SOUND, headers=(b"content-type: audio/wav",)), response_format="wav"),
    speech("one-byte", Answer(body=b"\x00", headers=(b"content-type: audio/pcm",), framing="chunked")),
    speech("nothing", Answer(body=b"", headers=(b"content-type: audio/pcm",), framing="chunked")),
    speech("events", _SPEAKING, stream_format="sse"),
    speech("refused", told(b"400 Bad Request", "invalid_request_error", None, param="voice"), response_format="x"),
    speech("failed-as-text", Answer(status=b"500 Oops", body=b"\xff\x00", headers=(b"content-type: audio/mpeg",))),
    later("json", "/v1/summaries", answering({"id": "sum_1", "usage": USAGE}), text="\u00e9" * 9, depth=1.10),
    later("deep-path", "/v1/video-3/drafts/new", answering({"status": "queued", "error": None}), seconds=8),
    later(
        "streamed",
        "/v1/summaries",
        None,
        streaming(
            event({"type": "summary.piece", "n": 1}, kind="summary.piece"), b": bye\n\n", event({"usage": USAGE})
        ),
    ),
    later(
        "streamed-with-done", "/v1/summaries", None, streaming(event({"choices": [], "usage": USAGE}), DONE, b":\n\n")
    ),
    later(
        "bytes", "/v1/pictures", Answer(body=_SOUND, headers=_PICTURE, framing="chunked", cuts=(7, 8, 4096)), size="x"
    ),
    later(
        "text", "/v1/captions", Answer(body=b"1\r\n00:00 --> 00:01\r\nHi\r\n", headers=(b"content-type: text/plain",))
    ),
    later("not-found", "/v1/nothing", told(b"404 Not Found", "invalid_request_error", "unknown_url")),
    later(
        "rerank",
        "/v1/rerank",
        answering({"results": [{"index": 1, "relevance_score": 0.98}]}),
        query="q",
        documents=["a"],
    ),
    Shape(
        name="query-kept",
        body=asking(messages=[]),
        query="?api-version=2026-01-01&x=%2Fa%20b&y=a+b&z&z=%C3%A9&=",
        whole=answering({"id": "c", "choices": []}),
    ),
)
