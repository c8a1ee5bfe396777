"""An avatar at rest, found by its engine's name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import idle_media
from gpu_pool.contracts import PictureFormat, PoolError
from gpu_pool.engines.bodies import body_content, load_body
from gpu_pool.engines.presenter import Presenter

SMALL = PictureFormat(192, 112, 25)
ANNA = idle_media.folder("anna")


def test_a_presenters_body_is_what_its_engine_draws_on() -> None:
    body = load_body("presenter", ANNA, SMALL)
    drawn = Presenter.load(idle_media.atlas("anna", 192, 112), 192, 112)
    assert body.loop_ticks(25) == drawn.loop_ticks(25)
    assert np.array_equal(body.picture(31, 25), drawn.picture(31, 25))
    assert body.picture(0, 25).shape == SMALL.shape


def test_an_upright_picture_has_its_own_composition() -> None:
    upright = load_body("presenter", ANNA, PictureFormat(112, 192, 25)).picture(0, 25)
    drawn = Presenter.load(idle_media.atlas("anna", 112, 192), 112, 192)
    assert np.array_equal(upright, drawn.picture(0, 25))


def test_an_engine_without_a_body_is_named() -> None:
    for find in (load_body, lambda engine, source, _: body_content(engine, source)):
        with pytest.raises(PoolError, match="engine 'simulated' has no body; there are"):
            find("simulated", ANNA, SMALL)


def test_the_content_changes_with_any_byte_of_the_avatar(tmp_path: Path) -> None:
    copy = tmp_path / "anna"
    shutil.copytree(ANNA, copy)
    assert body_content("presenter", copy) == body_content("presenter", ANNA)
    with (copy / "portrait.json").open("a") as file:
        file.write(" ")
    assert body_content("presenter", copy) != body_content("presenter", ANNA)
    assert body_content("presenter", idle_media.folder("leon")) != body_content("presenter", ANNA)


def test_an_atlas_by_itself_counts_with_its_description(tmp_path: Path) -> None:
    for ending in ("webp", "json"):
        shutil.copy(ANNA / f"landscape.{ending}", tmp_path / f"landscape.{ending}")
    before = body_content("presenter", tmp_path / "landscape.webp")
    (tmp_path / "landscape.json").write_text("{}")
    assert body_content("presenter", tmp_path / "landscape.webp") != before
