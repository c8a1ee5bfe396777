"""Platform limits as data, and the one encode that suits a channel's destinations."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.errors import ConfigError
from broadcaster.settings.model import Audio, Channel, Destination, Video
from broadcaster.settings.platforms import (
    LIMITS,
    load_platforms,
    plan_encode,
    platform_folder,
    platform_names,
)

ALL = load_platforms()


def channel(*platforms: str, gop_s: float = 1.0, kbps: int = 2500, audio: int = 128) -> Channel:
    return Channel(
        video=Video(gop_s=gop_s, bitrate_kbps=kbps),
        audio=Audio(bitrate_kbps=audio),
        destinations=tuple(
            Destination(name=f"to-{each}", url="rtmp://h/app/key", platform=each)  # type: ignore[arg-type]
            for each in platforms
        ),
    )


def test_the_six_platforms_are_known() -> None:
    expected = {"generic", "youtube", "twitch", "bilibili", "douyin", "facebook"}
    assert set(ALL) == set(platform_names()) == expected


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_number_has_its_source_and_nothing_else_has(name: str) -> None:
    platform = ALL[name]
    given_numbers = {key for key in LIMITS if getattr(platform, key) is not None}
    assert {key for key, _ in platform.sources} == given_numbers
    assert all(len(text) > 10 for _, text in platform.sources)
    assert set(platform.weak) <= given_numbers
    assert platform.notes


@pytest.mark.parametrize("file", sorted(platform_folder().glob("*.yaml")), ids=lambda f: f.stem)
def test_every_platform_file_writes_down_every_limit_even_when_unknown(file: Path) -> None:
    assert set(LIMITS) <= set(yaml.safe_load(file.read_text()))


def test_without_destinations_the_settings_stand() -> None:
    plan = plan_encode(channel(gop_s=0.4), ALL)
    assert plan.format.gop_ticks == 10
    assert plan.format.bitrate_bps == 2_500_000
    assert plan.format.audio.bitrate_bps == 128_000
    assert (plan.session_cap_s, plan.notes) == ({}, ())


def test_a_platform_that_wants_two_seconds_gets_them() -> None:
    plan = plan_encode(channel("twitch"), ALL)
    assert plan.format.gop_ticks == 50
    assert plan.notes == ("Key interval 2 s instead of the set 1 s: to-twitch asks so.",)


def test_destinations_that_disagree_get_the_smallest_key_interval_and_one_sentence() -> None:
    plan = plan_encode(channel("twitch", "youtube"), ALL)
    assert plan.format.gop_ticks == 25
    assert plan.notes == (
        "Destinations disagree on the key interval: to-twitch asks for 2 s, "
        "but the smallest (1 s) is sent to all.",
    )


def test_the_lowest_cap_wins_and_a_sentence_names_who_set_it() -> None:
    plan = plan_encode(channel("twitch", "youtube", "facebook", kbps=9000, audio=300), ALL)
    assert plan.format.bitrate_bps == 6_000_000
    assert plan.format.audio.bitrate_bps == 256_000
    assert "6000 kb/s instead of the set 9000 kb/s: to-twitch and to-facebook" in plan.notes[1]
    assert "256 kb/s instead of the set 300 kb/s: to-facebook takes no more" in plan.notes[2]


def test_session_caps_are_per_destination_in_seconds() -> None:
    caps = plan_encode(channel("twitch", "facebook", "generic"), ALL).session_cap_s
    assert caps == {"to-twitch": 172_800, "to-facebook": 28_800, "to-generic": None}


def test_an_unknown_platform_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="unknown platform 'nowhere'"):
        plan_encode(channel("nowhere"), ALL)


@given(
    st.lists(st.sampled_from(sorted(ALL)), unique=True),
    st.sampled_from([0.4, 1.0, 2.0, 4.0, 10.0]),
    st.integers(100, 50_000),
)
def test_no_destination_gets_more_than_it_takes(names: list[str], gop_s: float, kbps: int) -> None:
    plan = plan_encode(channel(*names, gop_s=gop_s, kbps=kbps), ALL)
    for name in names:
        platform = ALL[name]
        assert plan.format.gop_ticks <= (platform.gop_s_max or 10) * 25
        assert plan.format.bitrate_bps <= (platform.max_video_kbps or kbps) * 1000
    assert plan.format.gop_ticks >= 10
    assert plan.format.bitrate_bps <= kbps * 1000


@pytest.mark.parametrize(
    "text",
    ["name: other\ntitle: x", "name: bad\ntitle: x\nmax_vidoe: 1", "- a", "name: [", "name: bad"],
)
def test_a_bad_platform_file_is_a_config_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_platforms(tmp_path)
