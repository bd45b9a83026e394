from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.audit import GENESIS, Entry, Head, canonical, chained, fault

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=5,
)


def chain(values: list[Any]) -> tuple[list[Entry], Head]:
    head, entries = Head(), []
    for number, value in enumerate(values, start=1):
        entry = Entry(
            number=number,
            at=1_000 + number,
            actor="admin",
            action="set_percent",
            rollout="sales",
            before=None,
            after=value,
            reason="because",
            previous=head.hash,
        )
        entries.append(chained(entry))
        head = Head(count=number, hash=entries[-1].hash)
    return entries, head


@given(st.lists(JSON, max_size=4))
def test_a_chain_that_nobody_touched_is_whole(values: list[Any]):
    entries, head = chain(values)

    assert fault(entries, head) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", 7),
        ("actor", "someone"),
        ("action", "create_key"),
        ("rollout", None),
        ("before", {}),
        ("after", {"percent": 99}),
        ("reason", ""),
        ("previous", GENESIS),
        ("hash", "f" * 64),
    ],
)
def test_an_altered_entry_is_found_whatever_was_altered(field: str, value: Any):
    entries, head = chain([{"percent": 5}, {"percent": 10}, {"percent": 25}])
    entries[1] = replace(entries[1], **{field: value})

    assert fault(entries, head) == (
        "audit entry 2 was altered: its hash does not fit its content and the entry before it"
    )


def test_an_entry_rehashed_after_an_alteration_breaks_the_chain_at_the_next():
    entries, head = chain([1, 2, 3])
    entries[1] = chained(replace(entries[1], after=99))

    assert fault(entries, head) == (
        "audit entry 3 was altered: its hash does not fit its content and the entry before it"
    )


def test_a_missing_entry_is_found_in_the_middle_and_at_the_end():
    entries, head = chain([1, 2, 3])

    assert fault([entries[0], entries[2]], head) == "audit entry 2 is missing: entry 3 stands in its place"
    assert fault(entries[:2], head) == "the audit chain ends at entry 2, but 3 were written"


def test_content_that_is_no_json_counts_as_altered():
    entries, head = chain([1])
    entries[0] = replace(entries[0], at=float("inf"))

    assert fault(entries, head) is not None


def test_canonical_json_has_one_spelling():
    assert canonical({"b": 1.0, "a": "zoë"}) == '{"a":"zoë","b":1.0}'.encode()
    with pytest.raises(ValueError, match="Out of range float"):
        canonical(float("nan"))
