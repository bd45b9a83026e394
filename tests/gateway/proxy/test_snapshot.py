from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.pricing import Price
from gateway.proxy.snapshot import Holder, View
from gateway.settings.schema import Application, SecretRef, Upstream
from gateway.settings.secrets import SecretError
from rollout.keys import compose
from tests.fakes.proxy import BASE, CANDIDATE, FLAG, KEY, MODELS, SALES, UPSTREAM, decisions, key, snapshot


def test_a_key_stands_for_its_application():
    caller = decisions().caller(KEY)

    assert caller is not None
    assert (caller.name, caller.application.user_header) == ("shop", "x-user-id")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        KEY[:-1],
        KEY + "x",
        KEY.upper(),
        KEY.replace("tn_app", "tn_admin"),
        "tn_app_0123456789ab_",
        "tn_app__c2VjcmV0",
        compose("app", "ffffffffffff", "c2VjcmV0"),
        "tn_app_0123456789ab_\udc80",
    ],
)
def test_a_key_that_differs_anywhere_stands_for_nobody(token: str):
    assert decisions().caller(token) is None


def test_a_revoked_key_stands_for_nobody():
    assert decisions(keys=(key(KEY, "0123456789ab", revoked_at=1),)).caller(KEY) is None


def test_a_key_of_an_application_that_the_file_no_longer_has_stands_for_nobody():
    assert decisions(applications={"other": Application()}).caller(KEY) is None


@pytest.mark.parametrize("role", ["ops", "analyst", "rater", "admin"])
@pytest.mark.parametrize("application", [None, "shop"])
def test_a_key_of_another_role_is_no_applications_key(role: str, application: str | None):
    text = compose("admin", "0123456789ab", "c2VjcmV0")
    kept = replace(key(text, "0123456789ab", application=application), role=role)

    assert decisions(keys=(kept,)).caller(text) is None


def test_an_application_may_keep_the_key_that_it_sends_today(tmp_path: Path):
    (tmp_path / "key").write_text("sk-from-a-file\n")
    application = Application(accept=(SecretRef(env="OLD"), SecretRef(file=str(tmp_path / "key"))))

    known = decisions({"OLD": "sk-old"}, applications={"shop": application})

    for token in ("sk-old", "sk-from-a-file"):
        caller = known.caller(token)
        assert caller is not None
        assert caller.name == "shop"
    assert known.caller("sk-other") is None


def test_a_secret_that_cannot_be_resolved_gives_no_decisions():
    with pytest.raises(SecretError, match="MISSING is not set"):
        decisions(upstreams={"one": Upstream(base_url="http://x/v1", api_key=SecretRef(env="MISSING"))})


def test_a_deployment_carries_its_upstreams_credential_and_shows_it_to_nobody():
    upstream = Upstream(base_url="http://x/v1/", api_key=SecretRef(env="THEIR_KEY"), stream_usage="leave")

    route = decisions({"THEIR_KEY": "sk-canary"}, upstreams={"one": upstream}).route(CANDIDATE, live=True)

    assert route is not None
    assert route.base.headers == {"authorization": "Bearer sk-canary"}
    assert route.base.base_url == "http://x/v1"
    assert not route.base.injects_usage
    assert "sk-canary" not in f"{route!r}"
    assert f"{route.base!r}" == "Deployment('tuned' at 'one')"


@pytest.mark.parametrize("name", [SALES, BASE])
def test_a_rollouts_public_names_lead_to_both_its_models(name: str):
    route = decisions().route(name, live=True)

    assert route is not None
    assert route.candidate is not None
    assert (route.base.model, route.candidate.model, route.flag) == (BASE, CANDIDATE, FLAG)


def test_a_model_in_no_rollout_leads_to_itself():
    route = decisions().route(CANDIDATE, live=True)

    assert route is not None
    assert (route.base.model, route.flag, route.candidate) == (CANDIDATE, None, None)


def test_an_unknown_model_leads_nowhere():
    assert decisions().route("unknown", live=True) is None
    assert decisions().route("unknown", live=False) is None


def test_a_purpose_other_than_live_goes_past_the_rollout_to_the_model_itself():
    route = decisions().route(BASE, live=False)

    assert route is not None
    assert (route.base.model, route.flag) == (BASE, None)


def test_a_rollouts_own_name_leads_nowhere_for_a_purpose_that_goes_past_rollouts():
    for upstream in (UPSTREAM, Upstream(base_url="http://x/v1", models="*")):
        assert decisions(upstreams={"one": upstream}).route(SALES, live=False) is None


def test_unlisted_names_pass_to_the_upstream_that_takes_them():
    known = decisions(
        upstreams={"one": Upstream(base_url="http://x/v1"), "all": Upstream(base_url="http://y", models="*")}
    )

    route = known.route("gpt-unlisted", live=True)

    assert route is not None
    assert (route.base.model, route.base.upstream, route.base.price) == ("gpt-unlisted", "all", None)
    assert known.names() == [BASE, SALES, CANDIDATE]


def test_unlisted_names_have_the_price_that_the_snapshots_table_has():
    known = decisions(
        upstreams={"one": Upstream(base_url="http://x/v1"), "all": Upstream(base_url="http://y", models="*")},
        prices={"gpt-listed": (listed := Price(input=1.0, output=2.0)), "ft:a-2024-01-01": (tuned := Price(input=9.0))},
    )
    found = [known.route(model, live=True) for model in ("gpt-listed", "ft:a:acme::1", "gpt-other")]

    assert [route.base.price for route in found if route is not None] == [listed, tuned, None]


def test_a_view_is_swapped_whole_and_a_reader_keeps_what_it_read():
    holder = Holder(View(decisions=decisions(), source="last_good", fresh=False))
    before = holder.view

    holder.change(killed=True)
    holder.change(fresh=True, source="ledger")

    assert (before.killed, before.fresh, before.source) == (False, False, "last_good")
    assert (holder.view.killed, holder.view.fresh, holder.view.source) == (True, True, "ledger")
    assert holder.view.decisions is before.decisions


def test_the_label_names_epoch_and_version():
    assert decisions().label == "1.7"
    assert snapshot(models=MODELS).order == (1, 7)
