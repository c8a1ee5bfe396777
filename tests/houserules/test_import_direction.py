"""Arrows point down only: values < logic < mechanism < composition."""

from __future__ import annotations

import pytest

from tests.houserules.source_tree import (
    LAYERS,
    LOGIC,
    MECHANISM,
    Module,
    import_cycles,
    imports,
    imports_of,
    module,
    modules,
    needed_by,
    upward_imports,
    without_layer,
)

STATION = modules("broadcaster")
POOL = modules("gpu_pool")

OS_MODULES = {"os", "subprocess", "socket", "threading", "multiprocessing", "time", "signal", "io"}


def test_every_module_belongs_to_a_layer() -> None:
    assert without_layer(STATION) == []


def test_imports_point_downward() -> None:
    assert upward_imports(STATION) == []


def test_no_two_parts_import_each_other() -> None:
    assert import_cycles(STATION) == []


def test_only_mechanism_and_composition_know_the_clock() -> None:
    low = [each for each in STATION if LAYERS.get(_part(each), MECHANISM) < MECHANISM]
    assert [e for each in low for e in imports(each) if e.startswith("broadcaster.clock")] == []


def test_logic_touches_no_operating_system() -> None:
    logic = [each for each in STATION if LAYERS.get(_part(each)) == LOGIC]
    assert logic
    assert imports_of(logic, OS_MODULES) == []


def test_the_pool_never_imports_the_station() -> None:
    assert imports_of(POOL, ["broadcaster"]) == []


def test_torch_stays_under_the_engines_and_the_training() -> None:
    may = ("gpu_pool/engines/", "gpu_pool/training/")
    elsewhere = [e for e in STATION + POOL if not e.path.startswith(may)]
    assert imports_of(elsewhere, ["torch", "torchvision", "torchaudio"]) == []


MAPPED_BY_PLAYOUT = ("gpu_pool.contracts", "gpu_pool.credits", "gpu_pool.ring")
"""All that playout knows of the pool: the memory in which pictures lie."""


def test_playout_needs_no_model_and_no_network_library() -> None:
    needed = needed_by("broadcaster.playout", STATION)
    assert "broadcaster.formats" in {each.name for each in needed}
    foreign = ["torch", "flask", "werkzeug", "gunicorn", "aiohttp", "requests", "httpx"]
    assert imports_of(needed, foreign) == []
    rendering = [e.name for e in POOL if e.name not in {"gpu_pool", *MAPPED_BY_PLAYOUT}]
    assert "gpu_pool.engines.presenter" in rendering
    assert imports_of(needed, [*rendering, "idle_media.art"]) == []


def _part(source: Module) -> str:
    return [*source.name.split("."), ""][1]


# The rules themselves are tried on modules that break them.


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broadcaster/formats.py", "from broadcaster.push.flv import tag"),
        ("broadcaster/mixer/mixer.py", "import broadcaster.playout"),
        ("broadcaster/mixer/mixer.py", "from broadcaster import clock"),
        ("broadcaster/mixer/mixer.py", "from ..wire import ask"),
        ("broadcaster/mixer/__init__.py", "from ..wire import ask"),
        ("broadcaster/store/tasks.py", "def f():\n    from broadcaster.api import app"),
        ("broadcaster/playout/__main__.py", "import broadcaster.supervisor.main"),
    ],
)
def test_an_upward_import_is_seen(path: str, text: str) -> None:
    assert len(upward_imports([module(path, text)])) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("broadcaster/push/flv.py", "from broadcaster.formats import AirTick"),
        ("broadcaster/push/flv.py", "from . import command\nfrom .command import argv"),
        ("broadcaster/cli.py", "import broadcaster.supervisor.main, os"),
        ("broadcaster/cli.py", "from broadcaster import __version__"),
    ],
)
def test_a_downward_import_is_let_through(path: str, text: str) -> None:
    assert upward_imports([module(path, text)]) == []


def test_a_module_without_a_layer_is_seen() -> None:
    assert without_layer([module("broadcaster/utils.py", "")]) == ["utils"]


def test_a_cycle_around_a_corner_is_seen() -> None:
    parts = [
        module("broadcaster/push/a.py", "import broadcaster.idle.b"),
        module("broadcaster/idle/b.py", "import broadcaster.codec.c"),
        module("broadcaster/codec/c.py", "from broadcaster.push import a"),
        module("broadcaster/store/d.py", "from broadcaster.push import a"),
    ]
    assert import_cycles(parts) == ["codec", "idle", "push"]


def test_a_library_needed_around_a_corner_is_seen() -> None:
    parts = [
        module("broadcaster/playout/a.py", "from broadcaster.idle import b"),
        module("broadcaster/idle/b.py", "def f():\n    import torch.nn"),
        module("broadcaster/api/c.py", "import flask"),
    ]
    needed = needed_by("broadcaster.playout", parts)
    assert imports_of(needed, ["torch", "flask"]) == ["broadcaster/idle/b.py imports torch.nn"]
