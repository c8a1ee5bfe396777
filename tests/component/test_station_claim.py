"""What a station takes for itself before it starts: memory for what is written at every tick."""

from __future__ import annotations

from pathlib import Path

from broadcaster.paths import StatePaths
from broadcaster.supervisor.claim import link_memory


def test_what_is_written_at_every_tick_lies_in_memory_and_not_on_a_disk(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "var")
    folder = link_memory(paths)
    try:
        assert folder is not None
        paths.make()
        assert paths.metrics.resolve().is_relative_to("/dev/shm")
        assert paths.heartbeat.parent.resolve() == folder
    finally:
        if folder is not None:
            (folder / "metrics").rmdir()
            folder.rmdir()


def test_what_a_killed_station_left_in_memory_is_gone_at_the_next_start(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "var")
    first = link_memory(paths)
    assert first is not None
    (first / "stale.db").write_text("old")
    paths.memory.unlink()
    second = link_memory(paths)
    assert second == first
    assert list(second.iterdir()) == []
    second.rmdir()
