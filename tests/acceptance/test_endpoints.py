"""Every endpoint that takes a model, through a whole installation: bytes, arms, records and costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import openai
import pytest

from analytics.journal.reader import SegmentReader
from analytics.record import Record
from tests.acceptance.harness import BASE, CANDIDATE, PATIENCE_S, ROLLOUT, Installation, installed
from tests.bad_input.front import QUIET_CONFIG
from tests.fakes.plain import PLAIN
from tests.fakes.shapes import EVENTS, PLAYED, Shapes, answer
from tests.fakes.upstream import serving

MODERATING = """
[models.omni-moderation-latest]
upstream = "base"
"""
COST_USD = {"base": 0.15e-3 + 0.30e-3, "candidate": 0.30e-3 + 0.60e-3}
"""1,000 tokens in, 500 out."""


@dataclass(kw_only=True)
class Scene:
    """An installation between two upstreams; `ann` is on the candidate, `bob` on the base."""

    one: Installation
    base: Shapes
    tuned: Shapes

    def post(self, path: str, user: str = "bob", **fields: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.one.keys['application']}", "x-user-id": user}
        url = f"{self.one.gateway}{path}"
        return httpx.post(url, json=fields, headers=headers, timeout=PATIENCE_S, trust_env=False, verify=PLAIN)

    def record(self, got: httpx.Response) -> dict[str, Any]:
        """Return the one record of an answer, which is in the journal before the answer is complete."""
        found: list[dict[str, Any]] = []
        for path in (self.one.state_dir / "journal").glob("*.segment"):
            with SegmentReader(path) as segment:
                frames = [frame for _, frame in segment.frames() if isinstance(frame, Record)]
            wanted = got.headers["x-request-id"]
            found += [msgspec.structs.asdict(frame) for frame in frames if frame.request_id == wanted]
        (record,) = found
        return record

    def client(self, user: str) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.one.base_url,
            api_key=self.one.keys["application"],
            default_headers={"x-user-id": user},
            max_retries=0,
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    base, tuned = Shapes("base"), Shapes("tuned")
    with serving(base.script) as at_base, serving(tuned.script) as at_tuned:
        config = QUIET_CONFIG.replace("$base", f"{at_base.url}/v1").replace("$tuned", f"{at_tuned.url}/v1") + MODERATING
        with installed(tmp_path_factory.mktemp("endpoints"), config=config, simulated={}) as one:
            one.set_percent(50)
            one.force("ann", "candidate")
            one.force("bob", "base")
            yield Scene(one=one, base=base, tuned=tuned)


NAMES = {
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/responses": "responses",
    "/v1/moderations": "moderations",
    "/v1/images/generations": "images.generations",
    "/v1/audio/speech": "audio.speech",
    "/v1/rerank": "rerank",
    "/v1/poems": "other",
}
COSTLESS = {"/v1/moderations", "/v1/rerank", "/v1/audio/speech"}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "Hi"},
    "/v1/audio/speech": {"input": "Hi", "voice": "alloy"},
}


@pytest.mark.parametrize("user", ["ann", "bob"])
@pytest.mark.parametrize("path", NAMES)
def test_a_whole_answer_passes_byte_for_byte_and_is_recorded(scene: Scene, path: str, user: str):
    fields = {"model": ROLLOUT, "input": "Hi", "x_new": [1.50, None], **ASKED.get(path, {})}
    arm, model, upstream = ("candidate", CANDIDATE, scene.tuned) if user == "ann" else ("base", BASE, scene.base)

    got = scene.post(path, user, **fields)

    assert got.content == answer(path, fields, upstream.name)[1]
    assert (got.headers["x-turnout-arm"], got.headers["x-turnout-model"]) == (arm, model)
    asked, body = upstream.requests[-1]
    assert (asked, json.loads(body)) == (path, {**fields, "model": model})
    record = scene.record(got)
    assert (record["endpoint"], record["outcome"], record["arm_assigned"]) == (NAMES[path], "ok", arm)
    assert (record["model_requested"], record["model_served"], record["stream"]) == (ROLLOUT, model, False)
    if path in COSTLESS:
        assert (record["cost_usd"], record["cost_unknown"]) == (None, "no_usage")
    else:
        assert record["input_tokens"] == 1_000
        assert record["cost_usd"] is not None or record["cost_unknown"] is not None


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses"])
def test_what_costs_by_plain_tokens_costs_that(scene: Scene, path: str):
    got = scene.post(path, "ann", model=ROLLOUT, input="Hi", prompt="Hi")

    assert float(got.headers["x-turnout-cost-usd"]) == pytest.approx(COST_USD["candidate"])
    record = scene.record(got)
    assert record["cost_usd"] == pytest.approx(COST_USD["candidate"], abs=1e-9)


STREAMS: dict[str, dict[str, Any]] = {
    "/v1/completions": {"stream": True, "stream_options": {"include_usage": True}},
    "/v1/responses": {"stream": True},
    "/v1/images/generations": {"stream": True, "partial_images": 1},
    "/v1/audio/speech": {"stream_format": "sse"},
    "/v1/poems": {"stream": True},
}


@pytest.mark.parametrize(("path", "asking"), STREAMS.items(), ids=STREAMS)
def test_a_stream_passes_byte_for_byte_and_is_recorded(scene: Scene, path: str, asking: dict[str, Any]):
    fields = {"model": ROLLOUT, "input": "Hi", **asking}

    got = scene.post(path, "bob", **fields)

    assert (got.headers["content-type"], got.content) == answer(path, fields, "base")
    assert json.loads(scene.base.requests[-1][1]) == {**fields, "model": BASE}
    record = scene.record(got)
    assert (record["endpoint"], record["outcome"], record["stream"]) == (NAMES[path], "ok", True)
    if path != "/v1/poems":
        assert (record["input_tokens"], record["output_tokens"], record["usage_source"]) == (1_000, 500, "reported")
        assert record["ttft_ms"] is not None


def test_usage_of_completions_is_asked_for_and_withheld(scene: Scene):
    got = scene.post("/v1/completions", "bob", model=ROLLOUT, prompt="Hi", stream=True)

    events = answer("/v1/completions", {"stream": True}, "base")[1].split(b"\n\n")
    assert got.content == b"\n\n".join(event for event in events if b'"choices": []' not in event)
    assert json.loads(scene.base.requests[-1][1])["stream_options"] == {"include_usage": True}
    record = scene.record(got)
    assert record["cost_usd"] == pytest.approx(COST_USD["base"], abs=1e-9)


def test_the_official_client_streams_a_response_and_goes_on_from_it(scene: Scene):
    with scene.client("ann") as client:
        with client.responses.stream(model=ROLLOUT, input="Hi") as stream:
            kinds = [event.type for event in stream]
            first = stream.get_final_response()
        second = client.responses.create(model=ROLLOUT, input="And?", previous_response_id=first.id)

    assert (kinds[0], kinds[-1], first.id) == ("response.created", "response.completed", "resp_tuned")
    assert (second.id, second.output_text) == ("resp_tuned", "Hellö, you")


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_goes_on_at_the_upstream_that_made_it_after_its_user_has_moved(scene: Scene, *, stream: bool):
    fields: dict[str, Any] = {"model": ROLLOUT, "input": "And?", "previous_response_id": "resp_tuned"}

    got = scene.post("/v1/responses", "carol-is-not-pinned", **fields, stream=stream)
    home = scene.post("/v1/responses", "carol-is-not-pinned", **fields | {"previous_response_id": "resp_base"})

    assert (got.status_code, got.headers["x-turnout-arm"]) == (200, "candidate")
    assert (home.status_code, home.headers["x-turnout-arm"]) == (200, "base")
    records = [scene.record(each) for each in (got, home)]
    assert [record["arm_served"] for record in records] == ["candidate", "base"]
    assert records[0]["arm_assigned"] == records[1]["arm_assigned"]
    assert sorted(len(record["attempts"]) for record in records) == [1, 2]


def test_a_response_that_nobody_keeps_is_refused_clearly(scene: Scene):
    got = scene.post("/v1/responses", "carol-is-not-pinned", model=ROLLOUT, previous_response_id="resp_lost")

    assert (got.status_code, got.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert "resp_lost" in got.json()["error"]["message"]


def test_the_official_client_uses_the_other_endpoints_unchanged(scene: Scene):
    with scene.client("bob") as client:
        completion = client.completions.create(model=ROLLOUT, prompt="Hi")
        embedded = client.embeddings.create(model=ROLLOUT, input="Hi", encoding_format="float")
        image = client.images.generate(model=ROLLOUT, prompt="A cat")
        pictures = list(client.images.generate(model=ROLLOUT, prompt="A cat", stream=True, partial_images=1))
        with client.audio.speech.with_streaming_response.create(model=ROLLOUT, input="Hi", voice="alloy") as speech:
            sound = b"".join(speech.iter_bytes())

    assert completion.choices[0].text == " there"
    assert embedded.data[0].embedding == [0.25, -0.5]
    assert image.data is not None
    assert image.data[0].b64_json == "aW1hZ2U="
    assert [picture.type for picture in pictures] == ["image_generation.partial_image", "image_generation.completed"]
    assert sound == PLAYED


def test_a_moderation_without_a_model_is_one_by_openais_default(scene: Scene):
    with scene.client("bob") as client:
        moderated = client.moderations.create(input="Hi")
    got = scene.post("/v1/moderations", input="Hi")

    assert moderated.results[0].flagged is False
    assert json.loads(scene.base.requests[-1][1]) == {"input": "Hi"}
    assert scene.record(got)["model_requested"] == "omni-moderation-latest"


@pytest.mark.parametrize("path", [path for path in NAMES if path != "/v1/moderations"])
def test_elsewhere_a_request_without_a_model_is_refused(scene: Scene, path: str):
    got = scene.post(path, input="Hi")

    assert (got.status_code, got.json()["error"]["code"]) == (400, "missing_model")


def test_the_content_type_of_events_is_told(scene: Scene):
    assert scene.post("/v1/responses", model=ROLLOUT, stream=True).headers["content-type"] == EVENTS
