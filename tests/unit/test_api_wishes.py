"""What a client asks for, field by field."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.api.problems import Refusal
from broadcaster.api.wishes import Wishes, read_key, read_wishes
from broadcaster.speech.text import LONGEST_TEXT


def refused(fields: dict[str, Any], has_sound: bool = False) -> tuple[int, str]:
    with pytest.raises(Refusal) as found:
        read_wishes(fields, has_sound)
    return found.value.status, str(found.value)


def test_everything_may_be_left_out_but_sound_or_text() -> None:
    assert read_wishes({}, True) == Wishes()
    assert read_wishes({"text": "Hello."}, False) == Wishes(text="Hello.")
    assert refused({})[0] == 400
    assert refused({"text": "Hello."}, has_sound=True)[0] == 400


def test_an_empty_text_beside_sound_is_what_a_page_sends() -> None:
    assert read_wishes({"text": " "}, True).text is None


def test_a_form_and_json_mean_the_same() -> None:
    form = {"text": "x", "priority": "-7", "interrupt": "Yes", "guidance_scale": "1.5"}
    form["inference_steps"] = "20"
    document = {"text": "x", "priority": -7, "interrupt": True, "guidance_scale": 1.5}
    document["inference_steps"] = 20
    assert read_wishes(form, False) == read_wishes(document, False)
    assert read_wishes(form, False).options_json == '{"guidance_scale": 1.5, "inference_steps": 20}'


def test_unknown_fields_are_ignored() -> None:
    assert read_wishes({"text": "x", "video_length": "20"}, False) == Wishes(text="x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "high"),
        ("priority", "101"),
        ("priority", -101),
        ("priority", 1.5),
        ("priority", True),
        ("priority", "\u0663"),
        ("priority", "9" * 5000),
        ("interrupt", "maybe"),
        ("interrupt", 7),
        ("guidance_scale", "nan"),
        ("guidance_scale", "1e999"),
        ("guidance_scale", -1),
        ("guidance_scale", 10**400),
        ("guidance_scale", []),
        ("inference_steps", "0"),
        ("inference_steps", 201),
        ("inference_steps", 1.5),
        ("inference_steps", "many"),
        ("voice", 3),
        ("channel", {}),
        ("idempotency_key", "a\x00b"),
        ("idempotency_key", "k" * 256),
        ("text", 5),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(field: str, value: object) -> None:
    status, says = refused({"text": "Hello.", field: value})
    assert status == 422
    assert field.replace("_", " ") in says.replace("_", " ")


def test_a_text_is_counted_in_characters_not_bytes() -> None:
    assert read_wishes({"text": "語" * LONGEST_TEXT}, False).text == "語" * LONGEST_TEXT
    assert refused({"text": "x" * (LONGEST_TEXT + 1)})[0] == 413


def test_half_a_character_from_json_can_be_stored() -> None:
    text = read_wishes(json.loads('{"text": "a \\ud83d b"}'), False).text
    assert text is not None
    assert text.encode() == b"a ? b"


def test_the_key_may_stand_in_the_header_or_in_the_body_but_not_twice_differently() -> None:
    assert read_wishes({"text": "x"}, False, "k").idempotency_key == "k"
    assert read_wishes({"text": "x", "idempotency_key": "k"}, False).idempotency_key == "k"
    assert read_wishes({"text": "x", "idempotency_key": "k"}, False, '"k"').idempotency_key == "k"
    with pytest.raises(Refusal):
        read_wishes({"text": "x", "idempotency_key": "k"}, False, "other")


def test_a_key_in_quotation_marks_is_the_key() -> None:
    assert read_key('"8e03978e-40d5"') == read_key("8e03978e-40d5")


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "text",
                "voice",
                "channel",
                "priority",
                "interrupt",
                "guidance_scale",
                "avatar",
                "inference_steps",
            ]
        ),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ),
    st.booleans(),
)
def test_whatever_is_sent_is_read_or_refused(fields: dict[str, object], has_sound: bool) -> None:
    with contextlib.suppress(Refusal):
        wishes = read_wishes(fields, has_sound)
        assert (wishes.text is None) == has_sound
        assert -100 <= wishes.priority <= 100
