"""The three engines: tasks drawn together as one by one, and faces pasted on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_pool.contracts import (
    Answer,
    AvatarRef,
    Batch,
    BatchKey,
    BatchRefused,
    Engine,
    EngineSpec,
    Job,
    Json,
    PictureFormat,
    RendersTogether,
)
from gpu_pool.engines.latentsync import engine as latentsync
from gpu_pool.engines.musetalk import engine as musetalk
from gpu_pool.engines.musetalk.parser import FaceParser
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.whisper.hearing import Hearing
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles import recipe_networks
from tests.doubles.drawn_avatar import clip_avatar
from tests.doubles.engine_run import FIRST_TICK, FPS
from tests.doubles.plain_wav2lip import weights
from tests.oracles import recipe

PICTURES = 6
FORMATS = {"small": PictureFormat(480, 270, FPS), "large": PictureFormat(640, 360, FPS)}
"""Of the two avatars: the same clip, seen in boxes of two sizes."""

FILES = {"unet": "u", "vae": "v", "whisper": "w"}
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Task:
    """What is said, and by whom."""

    name: str
    avatar: str
    cues: Mapping[str, Json]

    @property
    def sound(self) -> NDArray[np.float32]:
        return recipe.waveform(f"together/{self.name}", PICTURES / FPS)


TASKS = [Task("a", "small", {}), Task("b", "large", {}), Task("c", "small", {})]


class Oval(FaceParser):
    """Skin in an oval, whatever is looked at."""

    def labels(self, rgb: Pictures) -> Pictures:
        made = np.zeros((512, 512), np.uint8)
        cv2.ellipse(made, (256, 256), (150, 200), 0, 0, 360, 1, -1)
        return made


@cache
def hearing(first_generation: bool) -> Hearing:
    return Hearing(recipe_networks.whisper(recipe_networks.whisper_file()), first_generation)


def musetalk_networks(options: musetalk.Options, device: str) -> musetalk.Networks:
    unet, vae = recipe_networks.tiny_unet("musetalk_unet_small", 8), recipe_networks.tiny_vae()
    return musetalk.Networks(unet, vae, hearing(False), Oval(), "musetalk")


def latentsync_networks(options: latentsync.Options, device: str) -> latentsync.Networks:
    unet = recipe_networks.tiny_unet("latentsync10_unet_small", 13)
    return latentsync.Networks(unet, recipe_networks.tiny_vae(), hearing(True), "ls")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    clip_avatar(folder / "clip", pictures=13)
    torch.save(weights("wav2lip96"), folder / "wav2lip.pth")
    return folder


def prepared(engine: Engine[Any], home: Path) -> Engine[Any]:
    """What the networks saw in the pictures is kept for the next engine of the kind."""
    engine.load("cpu")
    for name, picture in FORMATS.items():
        kept = str(home / f"{type(engine).__name__}-{name}")
        engine.prepare(AvatarRef(name, str(home / "clip"), picture, prepared=kept))
    return engine


Make = Callable[..., Engine[Any]]


@pytest.fixture(scope="module", params=["wav2lip", "musetalk", "latentsync"])
def make(request: pytest.FixtureRequest, home: Path) -> Make:
    """Makes engines of one kind, once for the same options."""

    @cache
    def wav2lip_engine(**given: Json) -> Engine[Any]:
        file = str(home / "wav2lip.pth")
        options: dict[str, Json] = {"weights": file, "precision": "float32", **given}
        return prepared(make_engine(EngineSpec("wav2lip", options)), home)

    @cache
    def musetalk_engine(**given: Any) -> Engine[Any]:
        options = musetalk.Options(**FILES, parser="p", **given)
        return prepared(musetalk.MuseTalkEngine(options, musetalk_networks), home)

    @cache
    def latentsync_engine(**given: Any) -> Engine[Any]:
        options = latentsync.Options(**FILES, steps=1, **given)
        return prepared(latentsync.LatentSyncEngine(options, latentsync_networks), home)

    return {
        "wav2lip": wav2lip_engine,
        "musetalk": musetalk_engine,
        "latentsync": latentsync_engine,
    }[request.param]


def job(
    engine: Engine[Any],
    task: Task,
    first: int = 0,
    count: int = PICTURES,
    abandoned: Callable[[], bool] = lambda: False,
) -> Job[Any]:
    window = cut_sound(task.sound, 0, sound_span(engine.needs, FPS, first, count))
    key, cues = BatchKey("main", task.name, 0, first), {"spoken": PICTURES, **task.cues}
    batch = Batch(key, count, task.avatar, FIRST_TICK + first, window, cues=cues)
    out = list(np.full((count, *FORMATS[task.avatar].shape), 7, np.uint8))
    return Job(batch, engine.features(window, first, count, FPS), out, abandoned)


def alone(engine: Engine[Any], task: Task) -> Pictures:
    """The whole task by one call of ``render``."""
    one = job(engine, task)
    engine.render(one.batch, one.features, one.out, one.abandoned)
    return np.stack(one.out)


def together(engine: Engine[Any], jobs: Sequence[Job[Any]]) -> list[Answer]:
    assert isinstance(engine, RendersTogether)
    return list(engine.render_together(jobs))


def far(own: Pictures, other: Pictures) -> int:
    return int(np.abs(own.astype(np.int16) - other).max())


@pytest.fixture(scope="module")
def one_by_one(make: Make) -> dict[str, Pictures]:
    engine = make(paste="host")
    return {task.name: alone(engine, task) for task in TASKS}


CUTS = st.lists(st.integers(1, PICTURES - 1), max_size=1)


@settings(max_examples=2, deadline=None, database=None)
@given(
    cuts=st.tuples(CUTS, CUTS, CUTS),
    shuffled=st.permutations(range(6)),
    groups=st.lists(st.integers(1, 4), min_size=6, max_size=6),
)
def test_tasks_drawn_together_look_as_one_by_one(
    make: Make,
    one_by_one: dict[str, Pictures],
    cuts: tuple[list[int], ...],
    shuffled: list[int],
    groups: list[int],
) -> None:
    engine = make(paste="host", batches_together=3)
    jobs = []
    for task, cut in zip(TASKS, cuts, strict=True):
        edges = [0, *cut, PICTURES]
        jobs += [job(engine, task, a, b - a) for a, b in pairwise(edges)]
    jobs = [jobs[number] for number in shuffled if number < len(jobs)]
    left = list(jobs)
    for size in groups:
        some, left = left[:size], left[size:]
        assert sorted(each.job for each in together(engine, some)) == list(range(len(some)))
    assert not left
    for one in jobs:
        key = one.batch.key
        wanted = one_by_one[key.task_id][key.first : key.first + one.batch.count]
        assert far(np.stack(one.out), wanted) <= 1  # as batches of another size


def test_pasted_on_the_device_pictures_are_the_hosts(
    make: Make, one_by_one: dict[str, Pictures]
) -> None:
    """Also where a picture shows half of the face: the second and the last but one."""
    engine = make(paste="device", batches_together=3)
    jobs = [job(engine, task) for task in TASKS[:2]]
    together(engine, jobs)
    for task, one in zip(TASKS, jobs, strict=False):
        own, wanted = np.stack(one.out), one_by_one[task.name]
        assert far(own, wanted) <= 1
        assert (own != wanted).mean() < 0.01
        np.testing.assert_array_equal(own[[0, -1]], wanted[[0, -1]])
        assert far(own[2:4], wanted[[0, 0]]) > 8, "something was drawn"


def test_what_is_kept_on_the_device_counts(make: Make) -> None:
    taken, parts = [], 0
    for way in ("host", "device"):
        avatar = make(paste=way, keep_mb=64)._avatars["small"]  # type: ignore[attr-defined]
        shown = avatar.shown(range(FIRST_TICK, FIRST_TICK + PICTURES))
        taken.append((64 << 20) - avatar._kept._room)
        if way == "device":
            parts = sum(each.laid.size_bytes for each in {id(s): s for s in shown}.values())
    assert parts > 10_000
    assert taken[1] - taken[0] == parts


def test_a_job_that_nobody_wants_any_more_fails_alone(
    make: Make, one_by_one: dict[str, Pictures]
) -> None:
    engine = make(paste="host", batches_together=3)
    left = iter([False, False])
    gone = job(engine, TASKS[1], abandoned=lambda: next(left, True))
    jobs = [gone, job(engine, TASKS[2])]
    assert sorted(each.job for each in together(engine, jobs)) == [0, 1]
    assert far(np.stack(jobs[1].out), one_by_one["c"]) <= 1
    drawn = [far(*each) == 0 for each in zip(gone.out, one_by_one["b"], strict=True)]
    assert not any(drawn[1:-1]), "its faces are not pasted any more"


def test_a_way_that_is_unknown_and_a_number_below_zero_are_refused() -> None:
    for name, files in (("wav2lip", {"weights": "w"}), ("musetalk", FILES), ("latentsync", FILES)):
        with pytest.raises(OptionsRefused, match=f"{name}: paste has to be auto, device or host"):
            make_engine(EngineSpec(name, {**files, "paste": "gpu"}))
        with pytest.raises(OptionsRefused, match="batches_together has to be 0 or more"):
            make_engine(EngineSpec(name, {**files, "batches_together": -1}))


@pytest.mark.parametrize("make", ["wav2lip"], indirect=True)
def test_sound_that_is_no_number_is_refused_alone(
    make: Make, one_by_one: dict[str, Pictures]
) -> None:
    engine = make(paste="host")
    jobs = [job(engine, task) for task in TASKS]
    broken = jobs[1].features.copy()
    broken[2, 5] = np.nan
    jobs[1] = Job(jobs[1].batch, broken, jobs[1].out, jobs[1].abandoned)
    assert together(engine, jobs)[0] == Answer(1, "the sound holds what is no number")
    for number in (0, 2):
        assert far(np.stack(jobs[number].out), one_by_one[TASKS[number].name]) <= 1
    assert all((picture == 7).all() for picture in jobs[1].out)


@pytest.mark.parametrize("make", ["wav2lip"], indirect=True)
def test_in_half_precision_any_grouping_is_the_same_to_the_last_bit(make: Make) -> None:
    engine = make(paste="device", precision="bfloat16", batch_pictures=4)
    wanted = {task.name: alone(engine, task) for task in TASKS}
    jobs = [job(engine, task, first, 3) for first in (3, 0) for task in TASKS]
    together(engine, jobs)
    for one in jobs:
        first = one.batch.key.first
        own = wanted[one.batch.key.task_id][first : first + 3]
        np.testing.assert_array_equal(np.stack(one.out), own)


@pytest.mark.parametrize("make", ["latentsync"], indirect=True)
def test_tasks_of_other_steps_go_through_passes_of_their_own(
    make: Make, one_by_one: dict[str, Pictures]
) -> None:
    engine = make(paste="host", batches_together=3)
    more = Task("a", "small", {"inference_steps": 2})
    never = Task("b", "large", {"inference_steps": 0})
    jobs = [job(engine, task) for task in (more, TASKS[0], never, TASKS[2])]
    first, *others = together(engine, jobs)
    assert first == Answer(2, "inference_steps has to be 1 to 200")
    assert [each.job for each in others] == [0, 1, 3]
    for number in (1, 3):
        assert far(np.stack(jobs[number].out), one_by_one[jobs[number].batch.key.task_id]) <= 1
    assert far(np.stack(jobs[0].out), one_by_one["a"]) > 8
    with pytest.raises(BatchRefused, match="has to be 1 to 200"):
        alone(engine, never)


def test_how_many_batches_go_together_is_told_once_loaded(make: Make) -> None:
    assert make(paste="host").needs.batches_together == 1, "a CPU is filled by one"
    assert make(paste="host", batches_together=3).needs.batches_together == 3
