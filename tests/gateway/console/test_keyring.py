from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.console.control import Control
from gateway.console.keyring import FirstKeys
from gateway.errors import BadRequestError, NotFoundError
from gateway.settings.schema import Application
from rollout.keys import ROLES
from tests.fakes.console import definitions, opened


def test_a_first_start_makes_one_admin_and_one_application_key_and_a_second_none(control: Control):
    first = control.keys.first_keys()

    assert first is not None
    assert re.fullmatch(r"tn_admin_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", first.admin)
    assert first.app.startswith("tn_app_")
    assert first.application == "default"
    assert [(key.role, key.application) for key in control.keys.list_keys()] == [("admin", None), ("app", "default")]
    assert control.keys.first_keys() is None


def test_the_first_application_key_is_for_the_first_configured_application(tmp_path: Path):
    wanted = replace(definitions(), applications={"crm": Application(), "bot": Application()})
    with opened(tmp_path, wanted) as control:
        first = control.keys.first_keys()

        assert first is not None
        assert first.application == "crm"


def test_first_keys_that_cannot_be_kept_are_not_made(control: Control):
    def failing(keys: FirstKeys) -> None:
        raise RuntimeError(keys.application)

    with pytest.raises(RuntimeError, match="default"):
        control.keys.first_keys(failing)

    assert control.keys.list_keys() == []
    assert control.keys.first_keys() is not None


@pytest.mark.parametrize("role", ROLES)
def test_a_key_is_believed_until_it_is_revoked(control: Control, role: str):
    control.keys.first_keys()
    made = control.keys.create_key(role, "default" if role == "app" else None, "mine", actor="admin")

    believed = control.keys.authenticate(made.key)
    assert believed is not None
    assert (believed.id, believed.role, believed.label) == (made.kept.id, role, "mine")
    revoked = control.keys.revoke_key(made.kept.id, actor="admin")

    assert revoked.revoked_at is not None
    assert control.keys.revoke_key(made.kept.id, actor="admin") == revoked
    assert control.keys.authenticate(made.key) is None


def test_malformed_unknown_and_altered_keys_are_not_believed(control: Control):
    first = control.keys.first_keys()
    assert first is not None

    for text in ("", "sk-old", "tn_admin_000000000000_x", first.admin + "x", first.admin.replace("admin", "ops", 1)):
        assert control.keys.authenticate(text) is None


def test_no_key_can_be_found_in_the_files(tmp_path: Path, control: Control):
    first = control.keys.first_keys()
    assert first is not None
    made = control.keys.create_key("ops", None, "", actor="admin")

    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    for text in (first.admin, first.app, made.key):
        assert text.encode() not in content
        assert text.rpartition("_")[2].encode() not in content
    assert made.kept.id.encode() in content


@pytest.mark.parametrize(
    ("role", "application", "sentence"),
    [
        ("boss", None, "there is no role 'boss'; the roles are app, ops, analyst, rater, admin"),
        ("ops", "default", "belongs to no application"),
        ("analyst", "nowhere", "no application 'nowhere'"),
        ("app", None, "a key of role app needs an application; the configured ones: default"),
        ("app", "crm", "no application 'crm'; the configured ones: default"),
    ],
)
def test_a_role_and_its_application_must_fit(control: Control, role: str, application: str | None, sentence: str):
    with pytest.raises(BadRequestError, match=sentence):
        control.keys.create_key(role, application, "", actor="admin")


def test_a_label_is_one_line_of_plain_text(control: Control):
    with pytest.raises(BadRequestError, match="the label has a line break"):
        control.keys.create_key("ops", None, "a\nb", actor="admin")


def test_unknown_keys_and_the_last_admin_key_are_not_revoked(control: Control):
    first = control.keys.first_keys()
    assert first is not None
    admin = control.keys.authenticate(first.admin)
    assert admin is not None

    with pytest.raises(NotFoundError, match="there is no key with the id"):
        control.keys.revoke_key("nothing", actor="admin")
    with pytest.raises(BadRequestError, match="the only live admin key"):
        control.keys.revoke_key(admin.id, actor="admin")


def test_an_analysts_key_may_be_for_one_application(control: Control):
    made = control.keys.create_key("analyst", "default", "", actor="admin")

    assert (made.kept.role, made.kept.application) == ("analyst", "default")
