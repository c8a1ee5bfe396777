"""No stream key in any line: URLs, messages, arguments, tracebacks."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.logs import OncePerSecond, configure_logging
from broadcaster.redaction import Redactor, redact_url

KEY = "live_6f1d0c"
URL = f"rtmps://user:pa55word@ingest.example.com:443/app/{KEY}?auth=tok3n"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "rtmps://ingest.example.com:443/app/***"),
        ("rtmp://h/app/k", "rtmp://h/app/***"),
        ("rtmp://h:1935/app/inst/k", "rtmp://h:1935/app/***"),
        ("rtmp://[::1]:1935/app/k", "rtmp://[::1]:1935/app/***"),
        ("rtmp://h/app", "rtmp://h/app"),
        ("rtmp://h/app?key=k", "rtmp://h/app/***"),
        ("rtmp://h", "rtmp://h"),
        ("not a url", "***"),
        ("rtmp://h:port/app/k", "***"),
        ("rtmp://[bad/app/k", "***"),
        ("", "***"),
    ],
)
def test_a_url_keeps_its_place_and_loses_its_key(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(st.text(alphabet="abcdefgh0123456789-_%", min_size=6), st.text(max_size=40))
def test_no_known_key_survives_in_any_text(key: str, around: str) -> None:
    redact = Redactor([f"rtmp://host.example/live/{key}"])
    text = redact(f"{around}{key}{around} rtmp://host.example/live/{key}")
    assert key not in text.replace("host.example/live", "")


def test_the_key_of_an_unknown_url_is_masked_too() -> None:
    assert Redactor()("to 'rtmp://h/app/zzz': gone") == "to 'rtmp://h/app/***': gone"


def test_the_parts_of_a_known_url_are_masked_apart() -> None:
    redact = Redactor([URL])
    for part in (KEY, "tok3n", "pa55word", f"{KEY}?auth=tok3n"):
        assert redact(f"<{part}>") == "<***>"
    assert redact("the app is live") == "the app is live"


@pytest.fixture(autouse=True)
def _logging_put_back() -> Iterator[None]:
    root = logging.getLogger()
    before, level, loud = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.raiseExceptions = loud
    logging.captureWarnings(False)


def test_a_record_is_one_line_with_utc_time_role_and_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("playout")
    logging.getLogger("x").warning("two\nlines of %d", 7)
    logging.getLogger("x").debug("unseen")
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z playout WARNING two \| lines of 7\n"
    assert re.fullmatch(pattern, capsys.readouterr().err)


def test_no_secret_survives_in_message_arguments_or_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("playout", "debug", [URL, "other-secret"])
    log = logging.getLogger("x")
    log.info("pushing to %s with %r", URL, {"key": KEY})
    log.info("token other-secret tok3n")
    try:
        raise OSError(f"refused: {URL} ({KEY})")
    except OSError:
        log.exception("push died")
    lines = capsys.readouterr().err
    for secret in (KEY, "tok3n", "pa55word", "other-secret"):
        assert secret not in lines
    assert len(lines.splitlines()) == 3
    assert "OSError: refused: rtmps://ingest.example.com:443/app/***" in lines


def test_a_broken_format_string_prints_no_secret_and_raises_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("playout", "debug", [URL])
    logging.getLogger("x").error("%d", URL)
    line = capsys.readouterr().err
    assert "playout ERROR %d ('rtmps://ingest.example.com:443/app/***',)" in line
    assert KEY not in line


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("a")
    configure_logging("b")
    logging.getLogger().info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_repeating_fault_is_reported_once_a_second_with_its_count() -> None:
    said: list[str] = []
    report = OncePerSecond(said.append)
    for tick in range(60):
        report.add(f"late {tick}", now=100 + tick * 0.04)
    assert said == ["late 0", "late 25 (25 times)", "late 50 (25 times)"]
    report.flush(now=104)
    assert said[-1] == "late 59 (9 times)"
    report.flush(now=106)
    assert len(said) == 4


def test_a_token_of_the_api_is_masked_without_being_known() -> None:
    assert Redactor()("Invalid header: 'Bearer bct_Ab-c_9'") == "Invalid header: 'Bearer ***'"
