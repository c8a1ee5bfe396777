"""A stream key may stand in a systemd credential instead of the settings, and is told to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from broadcaster.errors import ConfigError
from broadcaster.settings.load import load_settings, read_resolved, write_resolved

KEY = "live_6f1d0c-very-secret"
ADDRESS = f"rtmps://live.example.com:443/app/{KEY}"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return folder


def settings_file(folder: Path, *urls: str) -> Path:
    file = folder / "my.yaml"
    each = [f"{{name: d{n}, url: '{url}'}}" for n, url in enumerate(urls)]
    file.write_text(f"channels: [{{destinations: [{', '.join(each)}]}}]")
    return file


def fault(file: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    return str(caught.value)


def test_a_destination_gets_the_address_that_its_credential_holds(
    keys: Path, tmp_path: Path
) -> None:
    (keys / "stage").write_text(ADDRESS + "\n")
    plain = "rtmp://127.0.0.1/live/a"
    loaded = load_settings(settings_file(tmp_path, "credential:stage", plain))
    urls = [d.url.get_secret_value() for d in loaded.channels[0].destinations]
    assert urls == [ADDRESS, plain]
    assert KEY not in repr(loaded)
    write_resolved(loaded, tmp_path / "resolved.json")
    assert read_resolved(tmp_path / "resolved.json") == loaded


def test_every_credential_that_is_not_there_is_named(keys: Path, tmp_path: Path) -> None:
    told = fault(settings_file(tmp_path, "credential:one", "credential:two")).splitlines()
    assert told == [
        "channels.0.destinations.0.url: the credential 'one' cannot be read: "
        "No such file or directory",
        "channels.0.destinations.1.url: the credential 'two' cannot be read: "
        "No such file or directory",
    ]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (f"http://example.com/{KEY}".encode(), "is no address such as"),
        (KEY.encode() * 300, "is too long for an address"),
        (b"\xff\xfe" + KEY.encode(), "is not UTF-8 text"),
        (b"credential:stage", "names another one"),
        (b"", "is no address such as"),
    ],
)
def test_what_is_no_address_is_refused_without_being_told(
    keys: Path, tmp_path: Path, held: bytes, words: str
) -> None:
    (keys / "stage").write_bytes(held)
    told = fault(settings_file(tmp_path, "credential:stage"))
    assert words in told
    assert KEY not in told


def test_without_systemd_it_says_what_is_missing(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    file = settings_file(tmp_path, "credential:stage")
    assert "$CREDENTIALS_DIRECTORY is not set" in fault(file)
    untouched = load_settings(file, with_credentials=False)
    assert untouched.channels[0].destinations[0].url.get_secret_value() == "credential:stage"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "", ".hidden", "a b"])
def test_a_credential_is_a_name_and_no_path(keys: Path, tmp_path: Path, name: str) -> None:
    assert "credential:NAME" in fault(settings_file(tmp_path, f"credential:{name}"))
