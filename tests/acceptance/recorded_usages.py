"""Forty answers in the shapes that OpenAI's reference documents, each with its bill written out by hand.

A bill is a list of (tokens or seconds, USD per million tokens or, for seconds, per million seconds), every price typed
from the shipped table by hand; or the reason why there is none. Nothing here is computed by the product.
"""

from __future__ import annotations

from typing import Any

Bill = list[tuple[float, str]] | str


def chat(into: int, out: int, *, tier: str | None = None, **details: Any) -> dict[str, Any]:
    """Return a chat completion."""
    usage = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out, **details}
    return {"id": "chatcmpl-1", "object": "chat.completion", "service_tier": tier, "choices": [], "usage": usage}


def response(into: int, out: int, **more: Any) -> dict[str, Any]:
    """Return a response; `cached`, `written`, `long` and `reasoning` are its parts, `tier` its tier."""
    details: dict[str, Any] = {"cached_tokens": more.get("cached", 0), "cache_write_tokens": more.get("written", 0)}
    if "long" in more:
        kept = {"ttl_12h_tokens": more["long"], "ttl_30m_tokens": more["written"] - more["long"]}
        details["cache_write_tokens_details"] = kept
    usage = {
        "input_tokens": into,
        "input_tokens_details": details,
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": more.get("reasoning", 0)},
        "total_tokens": into + out,
    }
    return {"id": "resp_1", "object": "response", "service_tier": more.get("tier", "default"), "usage": usage}


def completed(whole: dict[str, Any], name: str = "response.completed") -> dict[str, Any]:
    """Return the event that ends a streamed response."""
    return {"type": name, "sequence_number": 9, "response": whole}


def images(text: int, image: int, out: int, *, details: dict[str, int] | None = None) -> dict[str, Any]:
    """Return made images."""
    usage: dict[str, Any] = {
        "input_tokens": text + image,
        "input_tokens_details": {"text_tokens": text, "image_tokens": image},
        "output_tokens": out,
        "total_tokens": text + image + out,
    }
    if details is not None:
        usage["output_tokens_details"] = details
    return {"created": 1, "data": [{"b64_json": "AA=="}], "usage": usage}


def heard(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a transcription."""
    return {"text": "Hello.", "usage": usage}


def tokens(into: int, out: int, details: dict[str, int] | None = None) -> dict[str, Any]:
    """Return a usage of the audio endpoints."""
    usage: dict[str, Any] = {"type": "tokens", "input_tokens": into, "output_tokens": out, "total_tokens": into + out}
    return usage if details is None else {**usage, "input_token_details": details}


TUNED = "ft:gpt-4o-mini-2024-07-18:acme:sales-v2:abc123"
PARTS: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0}}
REASONED: dict[str, Any] = {"completion_tokens_details": {"reasoning_tokens": 640, "accepted_prediction_tokens": 0}}
SPOKEN: dict[str, Any] = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 300, "text_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 900, "text_tokens": 100},
}
PREDICTED: dict[str, Any] = {
    "completion_tokens_details": {"accepted_prediction_tokens": 30, "rejected_prediction_tokens": 20}
}
SEEN: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": 1000, "image_tokens": 1100, "text_tokens": 100}}
TTS_DONE = {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}
HEARD_DONE = {"type": "transcript.text.done", "text": "Hi.", "usage": tokens(14, 45)}
IMAGE_DONE = {"type": "image_generation.completed", **images(50, 194, 4160)}

CASES: list[tuple[str, str, dict[str, Any], Bill]] = [
    ("chat", "gpt-4o-mini", chat(1117, 46), [(1117, "0.15"), (46, "0.60")]),
    ("cached", "gpt-4o-mini", chat(2000, 500, **PARTS), [(976, "0.15"), (1024, "0.075"), (500, "0.60")]),
    ("reasoning", "gpt-5", chat(75, 1186, **REASONED), [(75, "1.25"), (546, "10"), (640, "10")]),
    ("cached reasoning", "o3", chat(1500, 900, **PARTS, **REASONED), [(476, "2"), (1024, "0.5"), (900, "8")]),
    ("audio", "gpt-audio-1.5", chat(400, 1000, **SPOKEN), [(100, "2.5"), (300, "32"), (100, "10"), (900, "64")]),
    (
        "audio, mini",
        "gpt-audio-mini",
        chat(400, 1000, **SPOKEN),
        [(100, "0.6"), (300, "10"), (100, "2.4"), (900, "20")],
    ),
    ("audio, no price", "gpt-4o", chat(400, 1000, **SPOKEN), "no_audio_price"),
    ("predictions", "gpt-4o", chat(100, 80, **PREDICTED), [(100, "2.5"), (80, "10")]),
    ("pictures", "gpt-5.4-mini", chat(1200, 10, **SEEN), [(200, "0.75"), (1000, "0.075"), (10, "4.5")]),
    ("default tier", "gpt-5", chat(10, 20, tier="default"), [(10, "1.25"), (20, "10")]),
    ("flex", "gpt-5", chat(2048, 20, tier="flex", **PARTS), [(1024, "0.625"), (1024, "0.0625"), (20, "5")]),
    ("priority", "gpt-4.1", chat(2048, 20, tier="priority", **PARTS), [(1024, "3.5"), (1024, "0.875"), (20, "14")]),
    ("fast", "gpt-5.1", chat(10, 20, tier="fast"), [(10, "2.5"), (20, "20")]),
    ("no such tier", "gpt-4o", chat(10, 20, tier="flex"), "no_tier_price"),
    ("scale", "gpt-4o", chat(10, 20, tier="scale"), "no_tier_price"),
    ("usage chunk", "gpt-4.1-mini", {**chat(9, 12), "object": "chat.completion.chunk"}, [(9, "0.4"), (12, "1.6")]),
    ("nothing cached twice", "gpt-4o", chat(1024, 5, **PARTS), [(1024, "1.25"), (5, "10")]),
    ("more cached than sent", "gpt-4o", chat(1000, 5, **PARTS), "unclear_usage"),
    ("fine-tuned", TUNED, chat(2000, 500, **PARTS), [(976, "0.30"), (1024, "0.15"), (500, "1.20")]),
    ("fine-tuned, undated", "ft:gpt-4.1:acme::x", chat(10, 20), [(10, "3"), (20, "12")]),
    ("fine-tuned, flex", TUNED, chat(10, 20, tier="flex"), "no_tier_price"),
    ("fine-tuned, unknown base", "ft:gpt-9:acme::x", chat(10, 20), "no_price"),
    ("fine-tuned, other date", "ft:gpt-4o-2024-05-13:acme::x", chat(10, 20), "no_price"),
    ("unknown model", "acme-1", chat(10, 20), "no_price"),
    ("completion", "gpt-3.5-turbo-instruct-0914", chat(5, 7), [(5, "1.5"), (7, "2")]),
    ("embedding", "text-embedding-3-small", {"usage": {"prompt_tokens": 8, "total_tokens": 8}}, [(8, "0.02")]),
    ("embedding, large", "text-embedding-3-large", {"usage": {"prompt_tokens": 8191}}, [(8191, "0.13")]),
    ("moderation", "omni-moderation-latest", {"id": "modr-1", "results": []}, []),
    (
        "response",
        "gpt-5.6-sol",
        response(36000, 900, cached=20000, written=10000, reasoning=700),
        [(6000, "4"), (20000, "0.4"), (10000, "5"), (900, "20")],
    ),
    (
        "response, long-lived writes",
        "gpt-6.1-terra",
        response(5000, 10, written=4000, long=3000),
        [(1000, "1"), (1000, "1.25"), (3000, "2.5"), (10, "5")],
    ),
    (
        "response, long prompt",
        "gpt-5.4",
        completed(response(300_000, 1000, cached=100_000)),
        [(200_000, "5"), (100_000, "0.5"), (1000, "22.5")],
    ),
    ("response, not yet long", "gpt-5.4", completed(response(272_000, 1)), [(272_000, "2.5"), (1, "15")]),
    (
        "response, long at flex",
        "gpt-5.5",
        completed(response(272_001, 100, tier="flex"), "response.incomplete"),
        [(272_001, "5"), (100, "22.5")],
    ),
    ("long, no such tier", "gpt-5.4", response(272_001, 100, tier="priority"), "no_long_context_price"),
    ("no usage yet", "gpt-5.4", {"type": "response.created", "response": {"id": "r", "usage": None}}, "no_usage"),
    ("image", "gpt-image-2", images(50, 194, 4160), [(50, "5"), (194, "8"), (4160, "30")]),
    (
        "image with text",
        "gpt-image-1.5",
        images(50, 0, 4200, details={"image_tokens": 4160, "text_tokens": 40}),
        [(50, "5"), (4160, "32"), (40, "10")],
    ),
    ("image event", "gpt-image-1.5", IMAGE_DONE, [(50, "5"), (194, "8"), (4160, "32")]),
    ("speech", "gpt-4o-mini-tts", TTS_DONE, [(14, "0.6"), (101, "12")]),
    ("transcription", "gpt-4o-transcribe", heard(tokens(14, 45, {"text_tokens": 14})), [(14, "2.5"), (45, "10")]),
    ("transcription event", "gpt-4o-mini-transcribe", HEARD_DONE, [(14, "1.25"), (45, "5")]),
    (
        "transcription, audio",
        "gpt-4o-transcribe",
        heard(tokens(314, 45, {"text_tokens": 14, "audio_tokens": 300})),
        "no_audio_price",
    ),
    ("duration", "whisper-1", heard({"type": "duration", "seconds": 9}), [(9, "100")]),
    ("duration, exact", "gpt-transcribe", heard({"type": "duration", "seconds": 62.5}), [(62.5, "75")]),
    ("duration, no price", "gpt-4.1", heard({"type": "duration", "seconds": 9}), "no_duration_price"),
]
"""Name, model, what the upstream sent, bill."""
