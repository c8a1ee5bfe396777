"""Settings: precedence of the sources, readable faults, and the file left for the roles."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.settings.load import load_settings, read_resolved, write_resolved
from broadcaster.settings.model import Section, SettingsModel

KEY = "live_6f1d0c-very-secret"


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("BROADCASTER_") or name == "STATE_DIRECTORY":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "my.yaml") -> Path:
    file = Path(name)
    file.write_text(text, encoding="utf-8")
    return file


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(text))
    return str(caught.value).splitlines()


def test_without_a_file_the_defaults_hold_and_the_state_folder_is_absolute(tmp_path: Path) -> None:
    loaded = load_settings()
    assert loaded.station.state_dir == tmp_path / "var"
    assert loaded.push == SettingsModel().push
    assert type(loaded) is SettingsModel


def test_environment_wins_over_the_file_and_the_file_over_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write("push: {retry_s: 7, queue_s: 3}\napi: {port: 12000}\n")
    monkeypatch.setenv("BROADCASTER_PUSH__RETRY_S", "9")
    monkeypatch.setenv("BROADCASTER_RELAY", '{"mode": "none"}')
    loaded = load_settings(file)
    assert (loaded.push.retry_s, loaded.push.queue_s, loaded.push.late_retry_s) == (9, 3, 5)
    assert (loaded.api.port, loaded.relay.mode) == (12000, "none")


def test_channels_can_be_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCASTER_CHANNELS", '[{"name": "one"}, {"name": "two"}]')
    assert [channel.name for channel in load_settings().channels] == ["one", "two"]


def test_the_file_is_named_by_argument_then_by_environment_then_by_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("config").mkdir()
    write("api: {port: 1001}", "config/broadcaster.yaml")
    assert load_settings().api.port == 1001
    monkeypatch.setenv("BROADCASTER_CONFIG", str(write("api: {port: 1002}", "env.yaml")))
    assert load_settings().api.port == 1002
    assert load_settings(write("api: {port: 1003}", "arg.yaml")).api.port == 1003


def test_a_named_file_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        load_settings(Path("gone.yaml"))


def test_every_fault_has_its_own_line_with_its_place() -> None:
    text = (
        "push: {retyr_s: 1}\nbogus: 1\nchannels: [{name: main, video: {fps: 24}}]\napi: {port: 0}"
    )
    assert sorted(faults(text)) == [
        "api.port: input should be greater than or equal to 1",
        "bogus: unknown key",
        "channels.0.video.fps: input should be 25 or 30",
        "push.retyr_s: unknown key",
    ]


def _every_section() -> list[type[Section]]:
    found, pending = [], [Section]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        found.append(kind)
    return found


def test_every_level_refuses_an_unknown_key() -> None:
    for kind in (*_every_section(), SettingsModel):
        assert kind.model_config["extra"] == "forbid", kind
        assert kind.model_config["frozen"] is True, kind


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("channels: [{idle: {clips: [{path: a.mp4, bad: 1}]}}]", "channels.0.idle.clips.0.bad"),
        ("channels: [{idle: {clip: []}}]", "channels.0.idle.clip"),
        ("channels: [{audio: {hz: 1}}]", "channels.0.audio.hz"),
        (
            "channels: [{destinations: [{name: a, url: 'rtmp://h/a/k', key: x}]}]",
            "channels.0.destinations.0.key",
        ),
    ],
)
def test_an_unknown_key_deep_inside_is_named_by_its_path(text: str, line: str) -> None:
    assert faults(text) == [f"{line}: unknown key"]


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        ("BROADCASTER_PUSH__RETYR_S", "BROADCASTER_PUSH__RETYR_S: unknown key"),
        ("BROADCASTER_PUHS__RETRY_S", "BROADCASTER_PUHS__RETRY_S: unknown key"),
        (
            "BROADCASTER_PUSH_RETRY_S",
            "BROADCASTER_PUSH_RETRY_S: unknown key; did you mean BROADCASTER_PUSH__RETRY_S?",
        ),
        (
            "BROADCASTER_CHANNELS__0__NAME",
            "BROADCASTER_CHANNELS__0__NAME: channels are a list: "
            "give all of it as JSON in BROADCASTER_CHANNELS",
        ),
    ],
)
def test_a_misspelt_variable_is_an_error(
    variable: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == line


def test_variables_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROADCASTER_SETTINGS_JSON", "BROADCASTER_SERVICE_HOST", "BROADCASTER"):
        monkeypatch.setenv(name, "x")
    assert load_settings().api == SettingsModel().api


def test_a_whole_section_in_the_environment_must_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCASTER_CHANNELS", f"[{{{KEY}")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == "BROADCASTER_CHANNELS: not valid JSON"


def test_an_empty_section_means_its_defaults() -> None:
    assert load_settings(write("push:\napi:\n  # port: 1\n")).push == SettingsModel().push


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("push: {retry_s: 1, retry_s: 2}", "line 1: the key 'retry_s' stands twice"),
        ("push: [", "my.yaml:1:8: not valid YAML"),
        ("- a\n- b", "must be a mapping"),
        ("1: 2", "must be a mapping"),
        ("push: 5", "push: input should be a valid dictionary"),
        ("api: {port: 1935}", "api.port, relay.port, relay.stat_port must differ"),
        ("channels: []", "at least one channel"),
        ("channels: [{name: a}, {name: a}]", "channel names must differ"),
        ("channels: [{video: {gop_s: 0.99}}]", "whole number of pictures"),
        ("push: {retry_s: .inf}", "push.retry_s: input should be a finite number"),
        ("relay: {mode: external}", "relay.url must be an rtmp(s):// address"),
    ],
)
def test_a_bad_file_is_told_in_plain_words(text: str, part: str) -> None:
    assert part in "\n".join(faults(text))


def test_an_unknown_platform_is_named_with_the_known_ones() -> None:
    text = "channels: [{destinations: [{name: a, url: 'rtmp://h/a/k', platform: yuotube}]}]"
    assert faults(text) == [
        "channels.0.destinations.0.platform: unknown platform 'yuotube' "
        "(known: bilibili, douyin, facebook, generic, twitch, youtube)"
    ]


def test_no_fault_ever_shows_a_stream_key(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [
        f"channels: [{{destinations: [{{name: a, url: 'http://h/a/{KEY}'}}]}}]",
        f"channels: [{{destinations: [{{name: A B, url: 'rtmp://h/a/{KEY}'}}]}}]",
        f"channels: [{{destinations: [{{name: a, url: ['{KEY}']}}]}}]",
        f"channels: [{{destinations: [{{name: a, url: 'rtmp://h/a/{KEY}}}]}}]",
        f"channels: {KEY}",
        f"'{KEY}",
    ]
    for text in bad:
        with pytest.raises(ConfigError) as caught:
            load_settings(write(text))
        assert KEY not in str(caught.value)
        assert caught.value.__suppress_context__
    model = load_settings(
        write(f"channels: [{{destinations: [{{name: a, url: 'rtmp://h/a/{KEY}'}}]}}]")
    )
    assert KEY not in repr(model)
    assert KEY not in model.model_dump_json()


def test_systemds_state_directory_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/srv/a:/srv/b")
    monkeypatch.setenv("BROADCASTER_STATION__STATE_DIR", "/elsewhere")
    assert load_settings().station.state_dir == Path("/srv/a")


def test_idle_clips_are_found_from_the_current_folder(tmp_path: Path) -> None:
    loaded = load_settings(write("channels: [{idle: {clips: [{path: a/b.mp4}, {path: /c.mp4}]}}]"))
    paths = [clip.path for clip in loaded.channels[0].idle.clips]
    assert paths == [tmp_path / "a/b.mp4", Path("/c.mp4")]


def test_what_is_written_for_the_roles_reads_back_equal_with_its_secrets(tmp_path: Path) -> None:
    text = f"""
channels:
  - destinations: [{{name: a, url: 'rtmp://h/a/{KEY}', platform: twitch}}]
    idle: {{clips: [{{path: x.mp4, mode: pingpong}}]}}
"""
    loaded = load_settings(write(text))
    resolved = tmp_path / "settings.json"
    resolved.write_text("old")
    resolved.chmod(0o644)
    write_resolved(loaded, resolved)
    assert read_resolved(resolved) == loaded
    assert KEY in resolved.read_text()
    assert stat.S_IMODE(resolved.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my.yaml", "settings.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError("no")

    resolved = tmp_path / "settings.json"
    resolved.write_text("old")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write_resolved(SettingsModel(), resolved)
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]
    assert resolved.read_text() == "old"


def test_missing_or_foreign_resolved_settings_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_resolved(tmp_path / "none.json")
    (tmp_path / "old.json").write_text('{"engine": {}}')
    with pytest.raises(ConfigError, match="engine: unknown key"):
        read_resolved(tmp_path / "old.json")


def test_reading_resolved_settings_does_not_pay_for_the_sources() -> None:
    code = (
        "import sys, broadcaster.settings.load as load; "
        "sys.exit(bool({'pydantic_settings', 'yaml'} & set(sys.modules)))"
    )
    repo = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=repo, check=True)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_keys = st.sampled_from([*SettingsModel.model_fields, "retry_s", "video", "_env_file", "self"])
_trees = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_keys | _scalars, inner, max_size=3)
    ),
    max_leaves=12,
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_trees)
def test_any_yaml_either_loads_or_is_a_config_error(tree: object) -> None:
    with contextlib.suppress(ConfigError):
        load_settings(write(yaml.safe_dump(tree)))


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(alphabet="ab:-{}[]&*!<>|'\"#%\n \t,?0.9tru~é\x00", max_size=60))
def test_any_text_either_loads_or_is_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        load_settings(write(text))


@pytest.mark.parametrize(
    "text", ["a: !!bool x", "a: !!int ''", "a: 2001-99-99", "a: !!timestamp x", "&a [*a]",
             "push: &a {retry_s: *a}", "[" * 5000, "channels: &c [*c]", "? [a]\n: b"],
)  # fmt: skip
def test_yaml_traps_are_config_errors(text: str) -> None:
    assert faults(text)
