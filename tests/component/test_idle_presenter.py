"""The drawn presenter as a channel's idle programme."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from broadcaster.codec.x264 import parameter_sets_of
from broadcaster.idle.loop import load_loop
from broadcaster.settings.model import IdleClip
from tests.component.test_idle_prepare import bench, pictures, settings_for
from tests.component.test_idle_prepare_child import finish, start_child


def test_the_presenter_is_the_idle_of_a_channel_without_clips(tmp_path: Path) -> None:
    code, told = finish(start_child(tmp_path, settings_for(tmp_path, avatar="auto")))
    assert (code, [line["kind"] for line in told]) == (0, ["avatar", "avatar"])
    at = bench(tmp_path, avatar="auto")
    still, loop = (load_loop(Path(line["folder"]), at.fmt) for line in told)
    assert len(still.packets) == at.fmt.gop_ticks, "on air at once, then alive"
    assert (loop.title, len(loop.packets), loop.sound.silent) == ("anna", 300, True)
    assert loop.parameter_sets == parameter_sets_of(at.fmt), "it could not be spliced"
    shown = pictures(loop).astype(np.int16)
    moved = np.abs(np.diff(shown, axis=0)).mean(axis=(1, 2))
    assert moved.max() > 0.2, "nobody lives"
    seam = np.abs(shown[0] - shown[-1]).mean()
    assert seam <= max(2 * float(np.median(moved)), 1.0)


def test_clips_take_the_place_of_the_presenter_unless_one_is_named(tmp_path: Path) -> None:
    clip = IdleClip(path=tmp_path / "x.mp4")
    assert settings_for(tmp_path, avatar="auto").channels[0].presenter == "anna"
    assert settings_for(tmp_path, clip, avatar="auto").channels[0].presenter == ""
    assert settings_for(tmp_path, clip, avatar="anna").channels[0].presenter == "anna"
    assert settings_for(tmp_path, avatar="none").channels[0].presenter == ""


def test_whether_an_avatar_exists_is_not_a_matter_of_the_settings(tmp_path: Path) -> None:
    assert settings_for(tmp_path, avatar="nobody").channels[0].presenter == "nobody"
    with pytest.raises(ValueError, match="should match pattern"):
        settings_for(tmp_path, avatar="../nobody")
