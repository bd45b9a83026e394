"""What model servers answer to `POST /v1/chat/completions`, whole and streamed; the questions here are plain ones."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.reciting import Answer
from tests.transparency.shape import Shape, answering, asking, event, streaming
from tests.transparency.shapes.chat_requests import (
    DONE,
    FIRST,
    LAST,
    PIXEL,
    SAYS,
    STREAMED,
    USAGE,
    USAGE_CHUNK,
    WHOLE,
    chunk,
    completion,
    delta,
)

_ASKING = asking(messages=SAYS)
_DETAILS = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 1, "audio_tokens": 0},
}
_LIKELY = {"content": [{"token": "Hi", "logprob": -0.0, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}
_CITED = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 4, "url": "https://a.example", "title": "A"},
}
_ODD_JSON = (b'CONTENT-Type:\tApplication/JSON ; charset="UTF-8"', b"Retry-After:", b"x-ratelimit-x: \xc3\xa4\xff")
_ODD_EVENTS = (b"Content-Type:Text/Event-Stream;charset=UTF-8", b"Cache-Control: no-cache, no-transform")
_HARMLESS = {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": {"filtered": False, "detected": False}}


def answer(name: str, whole: Answer | None, streamed: Answer | None) -> Shape:
    """Return a shape by its answers."""
    return Shape(name=f"answer-{name}", body=_ASKING, whole=whole, streamed=streamed)


def _called(index: int, arguments: str, **more: object) -> bytes:
    return chunk(delta({"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]}))


def _tool(at: int, arguments: str) -> dict[str, object]:
    return {"id": f"call_{at}", "type": "function", "function": {"name": "weather", "arguments": arguments}}


_CUT_ARGUMENTS = ('{"pl', 'ace":"', "U\u0308lm", "\\u00fc\\n", '"}')

ANSWERS = (
    answer(
        "tool-calls",
        answering(
            completion(
                {"content": None, "tool_calls": [_tool(1, '{"place":"Ulm"}'), _tool(2, "")]},
                finish_reason="tool_calls",
                usage=_DETAILS,
            )
        ),
        streaming(
            chunk(delta({"role": "assistant", "content": None})),
            _called(0, "", id="call_1", type="function"),
            *[_called(0, piece) for piece in _CUT_ARGUMENTS],
            _called(1, "{}", id="call_2", type="function"),
            chunk(delta({}, "tool_calls")),
            DONE,
            usage=chunk(usage=_DETAILS),
        ),
    ),
    answer(
        "refusal",
        answering(completion({"content": None, "refusal": "I will not."}, usage=USAGE)),
        streaming(FIRST, chunk(delta({"refusal": "I will"})), chunk(delta({"refusal": " not."})), LAST, DONE),
    ),
    answer(
        "logprobs",
        answering({**completion({"content": "Hi"}), "choices": [{"index": 0, "logprobs": _LIKELY}]}),
        streaming(chunk({"index": 0, "delta": {"content": "Hi"}, "logprobs": _LIKELY}), LAST, DONE, usage=USAGE_CHUNK),
    ),
    answer(
        "several-choices",
        answering({"id": "c", "choices": [{"index": at, "message": {"content": f"{at}"}} for at in (2, 0, 1)]}),
        streaming(
            *[chunk(delta({"content": word}, index=at)) for at, word in ((1, "b"), (0, "a"), (1, "B"))],
            chunk(delta({}, "length", index=1), delta({}, "stop", index=0)),
            DONE,
            usage=USAGE_CHUNK,
        ),
    ),
    answer("no-choices", answering({"id": "c", "choices": [], "usage": USAGE}), streaming(chunk(), LAST, DONE)),
    answer(
        "filtered",
        answering(
            {
                **completion({"content": ""}, finish_reason="content_filter"),
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _HARMLESS}],
            }
        ),
        streaming(
            chunk(prompt_filter_results=[{"prompt_index": 0, "content_filter_results": _HARMLESS}], model=""),
            FIRST,
            chunk({"index": 0, "delta": {}, "finish_reason": "content_filter", "content_filter_results": _HARMLESS}),
            DONE,
            usage=USAGE_CHUNK,
        ),
    ),
    answer(
        "annotations",
        answering(completion({"content": "See A.", "annotations": [_CITED]}, usage=USAGE)),
        streaming(chunk(delta({"content": "See A."})), chunk(delta({"annotations": [_CITED]})), LAST, DONE),
    ),
    answer(
        "audio",
        answering(completion({"content": None, "audio": {"id": "audio_1", "data": PIXEL * 50, "transcript": "Hi"}})),
        streaming(
            chunk(delta({"audio": {"id": "audio_1", "transcript": "H"}})),
            *[chunk(delta({"audio": {"data": PIXEL[at : at + 32]}})) for at in range(0, 96, 32)],
            chunk(delta({"audio": {"expires_at": 1}})),
            LAST,
            DONE,
            usage=USAGE_CHUNK,
        ),
    ),
    answer(
        "reasoning",
        answering(completion({"content": "4", "reasoning_content": "2+2 \u2026", "reasoning": None}, usage=_DETAILS)),
        streaming(
            chunk(delta({"reasoning_content": "2+2"})),
            chunk(delta({"reasoning": " \u2026", "content": None})),
            chunk(delta({"content": "4"}, "stop")),
            DONE,
            usage=chunk(usage=_DETAILS),
        ),
    ),
    answer(
        "functions",
        answering(completion({"content": None, "function_call": {"name": "f", "arguments": "{}"}})),
        streaming(
            chunk(delta({"function_call": {"name": "f", "arguments": ""}})), chunk(delta({}, "function_call")), DONE
        ),
    ),
    answer(
        "usage-in-every-chunk",
        None,
        streaming(
            chunk(delta({"content": "a"}), usage={**USAGE, "completion_tokens": 1}),
            chunk(delta({"content": "b"}, "stop"), usage=USAGE),
            DONE,
            usage=USAGE_CHUNK,
        ),
    ),
    answer(
        "usage-of-null",
        None,
        streaming(
            chunk(delta({"content": "a"}), usage=None),
            chunk(usage=None),
            chunk(delta({}, "stop"), usage=None),
            DONE,
            usage=USAGE_CHUNK,
        ),
    ),
    answer(
        "obfuscation",
        None,
        streaming(
            chunk(delta({"content": "a"}), obfuscation="x7Ff"), LAST, DONE, usage=chunk(usage=USAGE, obfuscation="")
        ),
    ),
    answer("compact-json", Answer(body=b'{"id":"c","choices":[{"index":0,"message":{"content":"Hi"}}]}'), None),
    answer(
        "odd-json",
        Answer(
            body=b'\r\n {"id" :\t7, "choices":[ {"message":{"content":"\\u0048\\/\\ud83d\\ude42 \\ud800"},"x":1.10}],'
            b'"usage":{"prompt_tokens":1e0,"completion_tokens":9223372036854775808},"n":-0.0,"a":1,"a":2} \n'
        ),
        None,
    ),
    answer(
        "chunked-and-cut",
        Answer(body=WHOLE.body, framing="chunked", cuts=tuple(range(1, len(WHOLE.body), 7))),
        None,
    ),
    answer("not-json", Answer(body=b"Good morning.\n", headers=(b"content-type: text/plain; charset=utf-8",)), None),
    answer("not-utf8", Answer(body=bytes(range(256)) * 3, headers=(b"content-type: application/octet-stream",)), None),
    answer("until-close", Answer(body=WHOLE.body, framing="close"), replace(STREAMED, framing="close")),
    answer("empty-until-close", Answer(body=b"", framing="close", headers=()), None),
    answer(
        "interim-heads",
        replace(WHOLE, interim=b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n"),
        replace(STREAMED, interim=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"),
    ),
    answer("odd-types", replace(WHOLE, headers=_ODD_JSON), replace(STREAMED, headers=_ODD_EVENTS)),
    answer("array", answering([1, {"choices": None}]), None),
    answer("empty", Answer(body=b""), None),
    answer("without-type", Answer(body=WHOLE.body, headers=()), None),
    answer("byte-order-mark", Answer(body=b"\xef\xbb\xbf" + WHOLE.body), None),
    answer("huge", answering(completion({"content": "\u00e9" * (17 << 18)})), None),
    answer("stream-answered-whole", None, WHOLE),
    answer("whole-answered-as-stream", STREAMED, None),
    answer(
        "unknown-events",
        None,
        streaming(event({"type": "ping"}), FIRST, event({"type": "x", "choices": None}), LAST, DONE, usage=USAGE_CHUNK),
    ),
)
