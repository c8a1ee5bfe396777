"""Tokens: made once, kept as hashes, found in constant time, gone when revoked."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from broadcaster.access import command
from broadcaster.access.role import Role, is_loopback, tokens_needed
from broadcaster.access.tokens import Presented, TokenBook, TokenFile
from broadcaster.errors import ConfigError
from broadcaster.settings.model import Api

NOW_S = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "tokens.json"


def test_a_token_is_found_by_its_secret_and_by_nothing_else(path: Path) -> None:
    secret = TokenFile(path).create(Role.SPEAKER, "desk", NOW_S)
    book = TokenBook(path)
    presented, token = book.find(secret, NOW_S)
    assert (presented, token and (token.name, token.role)) == ("valid", ("desk", Role.SPEAKER))
    for wrong in ("", "x", secret[:-1], secret + "x", secret.upper(), "\udcff", "ä"):
        assert book.find(wrong, NOW_S) == (Presented.UNKNOWN, None)


def test_the_file_holds_no_secret_and_is_private(path: Path) -> None:
    secret = TokenFile(path).create(Role.OPERATOR, "chief", NOW_S)
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(each.name for each in path.parent.iterdir()) == ["tokens.json", "tokens.lock"]


def test_two_tokens_never_have_the_same_secret(path: Path) -> None:
    secrets = {TokenFile(path).create(Role.VIEWER, f"v{n}", NOW_S) for n in range(20)}
    assert len(secrets) == 20
    assert min(map(len, secrets)) >= 43


def test_a_token_expires_to_the_second(path: Path) -> None:
    secret = TokenFile(path).create(Role.VIEWER, "guest", NOW_S, lasts_s=60)
    book = TokenBook(path)
    assert book.find(secret, NOW_S + 59.9)[0] is Presented.VALID
    assert book.find(secret, NOW_S + 60)[0] is Presented.EXPIRED


def test_a_change_is_seen_at_the_next_look(path: Path) -> None:
    file, book = TokenFile(path), TokenBook(path)
    assert book.find("x", NOW_S)[0] is Presented.UNKNOWN  # there is no file yet
    secret = file.create(Role.VIEWER, "guest", NOW_S)
    assert book.find(secret, NOW_S)[0] is Presented.VALID
    file.revoke("guest")
    assert book.find(secret, NOW_S)[0] is Presented.UNKNOWN


def test_a_name_is_given_once_and_must_be_one(path: Path) -> None:
    file = TokenFile(path)
    file.create(Role.VIEWER, "guest", NOW_S)
    for name in ("guest", "", "a b", "../x", "x" * 65, "new\nline"):
        with pytest.raises(ConfigError):
            file.create(Role.VIEWER, name, NOW_S)
    with pytest.raises(ConfigError, match="no token nobody"):
        file.revoke("nobody")
    assert [token.name for token in file.read()] == ["guest"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"tokens": 1}', '{"tokens": [{"name": "a"}]}', '{"tokens": [1]}',
     '{"tokens": [{"name": "a", "role": "king", "sha256": "00", "created_s": 0, "expires_s": 0}]}',
     '{"tokens": [{"name": "a", "role": "viewer", "sha256": "", "created_s": 0, "expires_s": 0}]}'],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in_and_says_so(path: Path, text: str) -> None:
    file = TokenFile(path)
    secret = file.create(Role.OPERATOR, "chief", NOW_S)
    book = TokenBook(path)
    assert book.find(secret, NOW_S)[0] is Presented.VALID
    path.write_text(text)
    assert book.find(secret, NOW_S)[0] is Presented.UNKNOWN
    assert "damaged" in book.last_error
    with pytest.raises(ConfigError, match="damaged"):
        file.create(Role.OPERATOR, "other", NOW_S)
    assert path.read_text() == text, "what is damaged is not overwritten"


def test_many_hands_at_once_lose_no_token(path: Path) -> None:
    def make(number: int) -> None:
        TokenFile(path).create(Role.VIEWER, f"v{number}", NOW_S)

    hands = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(TokenFile(path).read()) == 12


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_stations_user(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, 12345, 12346)
    TokenFile(path).create(Role.VIEWER, "guest", NOW_S)
    owners = {(each.stat().st_uid, each.stat().st_gid) for each in path.parent.iterdir()}
    assert owners == {(12345, 12346)}


def test_each_role_may_do_what_those_before_it_may() -> None:
    allowed = {(own, needed) for own in Role for needed in Role if own.may_act_as(needed)}
    assert allowed == {
        ("viewer", "viewer"),
        *(("speaker", each) for each in ("viewer", "speaker")),
        *(("operator", each) for each in ("viewer", "speaker", "operator")),
    }


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
     ("LOCALHOST", True), ("", False), ("0.0.0.0", False), ("::", False), ("192.168.0.2", False),
     ("station.lan", False), ("localhost.example.com", False)],
)  # fmt: skip
def test_tokens_are_needed_as_soon_as_others_can_come(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    assert tokens_needed(Api(host=host)) is not local
    assert tokens_needed(Api(host=host, access="tokens"))
    assert not tokens_needed(Api(host=host, access="open"))


def test_the_command_names_the_roles_there_are() -> None:
    assert tuple(Role) == command.ROLES


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("12h", 43200), ("30d", 2592000)])
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert command.length_s(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0d", "-1d", "d", "1y", "1.5d", "999999d"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(command.argparse.ArgumentTypeError):
        command.length_s(text)


def test_the_file_is_plain_json(path: Path) -> None:
    TokenFile(path).create(Role.VIEWER, "guest", NOW_S, 60)
    (entry,) = json.loads(path.read_text())["tokens"]
    assert set(entry) == {"name", "role", "sha256", "created_s", "expires_s"}
