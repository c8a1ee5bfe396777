"""What a receiver can rely on: ours, unchanged, fresh."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from broadcaster.callbacks.signature import sign, verify

SECRET = "correct horse battery staple"
BODY = '{"event":"task.done","reason":"Grüße"}'.encode()
AT_S = 1_800_000_000
HEADER = sign(SECRET, AT_S, BODY)


def test_the_recipe_of_the_readme_gives_the_same() -> None:
    digest = hmac.new(SECRET.encode(), f"{AT_S}.".encode() + BODY, hashlib.sha256).hexdigest()
    assert f"t={AT_S},v1={digest}" == HEADER


def test_a_fresh_callback_is_believed_within_the_tolerance() -> None:
    for now in (AT_S, AT_S + 300, AT_S - 300):
        assert verify(SECRET, HEADER, BODY, now)
    assert verify(SECRET, f" {HEADER} ", BODY, AT_S)


@pytest.mark.parametrize("now", [AT_S + 301, AT_S - 301, AT_S + 86_400, 0])
def test_a_recorded_callback_is_refused_later(now: float) -> None:
    assert not verify(SECRET, HEADER, BODY, now)


def test_a_replay_with_a_new_time_is_refused() -> None:
    later = HEADER.replace(str(AT_S), str(AT_S + 1000))
    assert not verify(SECRET, later, BODY, AT_S + 1000)


def test_a_changed_body_or_another_secret_is_refused() -> None:
    assert not verify(SECRET, HEADER, BODY + b" ", AT_S)
    assert not verify(SECRET, HEADER, BODY.replace(b"done", b"fail"), AT_S)
    assert not verify(SECRET + "x", HEADER, BODY, AT_S)
    assert not verify("", HEADER, BODY, AT_S)


@pytest.mark.parametrize(
    "header",
    ["", "t=1", "v1=00", HEADER[:-1], HEADER + "0", HEADER + f",v1={'0' * 64}", HEADER.upper(),
     HEADER.replace("t=", "t=+"), HEADER.replace("t=", "t= "), HEADER.replace("t=", "t=0x"),
     f"t={'9' * 4000},v1={'0' * 64}", "t=١٢٣,v1=" + "0" * 64, "\n" + HEADER + "\nx"],
)  # fmt: skip
def test_whatever_is_no_signature_is_refused(header: str) -> None:
    assert not verify(SECRET, header, BODY, AT_S)
