"""What is worked out of an avatar's pictures: kept part by part, believed only when it is whole."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from gpu_pool.engines.prepared import Arrays, Keeping, Parts, Prepared, Work, key_of
from tests.doubles.avatar_station import until

MB = 1 << 20
PLACES = range(10)


def part(place: int) -> Arrays:
    return {"seen": np.full((4, 8), place, np.float32), "mask": np.arange(9, dtype=np.uint8)}


class Looker:
    """Looks at places, and remembers at which."""

    def __init__(self, parts: Parts | None) -> None:
        self.looked: list[int] = []
        self.prepared = Prepared(Work(self._look, part, self._unpacked), parts)

    def _look(self, places: Sequence[int]) -> list[int]:
        self.looked += places
        return list(places)

    @staticmethod
    def _unpacked(place: int, arrays: Arrays) -> int | None:
        seen = arrays.get("seen")
        return place if seen is not None and seen.shape == (4, 8) else None


@pytest.fixture
def avatar(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    files.mkdir()
    (files / "avatar.json").write_text("{}")
    return files


def keeping(avatar: Path, most_bytes: int = MB, weights: str = "abc") -> Parts:
    found = Keeping(str(avatar.with_name("prepared")), weights, most_bytes).parts(avatar, "wav2lip")
    assert found is not None
    return found


def files_of(avatar: Path) -> list[Path]:
    return sorted(avatar.with_name("prepared").rglob("*.npz"))


def test_what_was_worked_out_once_is_never_worked_out_again(avatar: Path) -> None:
    first = Looker(keeping(avatar))
    assert first.prepared.of([3, 1, 3]) == [3, 1, 3]
    assert first.looked == [3, 1]
    second = Looker(keeping(avatar))
    assert second.prepared.of([1, 2, 3]) == [1, 2, 3]
    assert second.looked == [2]
    kept = keeping(avatar).read(3)
    assert kept is not None
    assert {name: each.tolist() for name, each in kept.items()} == {
        name: each.tolist() for name, each in part(3).items()
    }


def test_it_is_told_how_far_the_whole_is(avatar: Path) -> None:
    Looker(keeping(avatar)).prepared.of([0, 4])
    told = list(Looker(keeping(avatar)).prepared.complete(PLACES, 3))
    assert told == [(2, 2), (5, 2), (8, 2), (10, 2)]
    assert list(Looker(keeping(avatar)).prepared.complete(PLACES, 3)) == [(10, 10)]


KILLED = """
import sys, time
from pathlib import Path
from tests.unit.test_prepared_parts import PLACES, Looker, keeping
avatar = Path(sys.argv[1])
class Slow(Looker):
    def _look(self, places):
        while places[0] >= 6:
            time.sleep(1)
        return super()._look(places)
list(Slow(keeping(avatar)).prepared.complete(PLACES, 2))
"""


def test_whoever_is_killed_in_the_middle_goes_on_where_it_stopped(avatar: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(avatar)]) as child:
        until(lambda: len(files_of(avatar)) == 6, "more than half is done")
        child.send_signal(signal.SIGKILL)
    torn = files_of(avatar)[0].with_suffix(f".{child.pid}.tmp")
    torn.write_bytes(b"half")
    second = Looker(keeping(avatar))
    assert not torn.exists(), "the draft of a dead writer is deleted"
    assert list(second.prepared.complete(PLACES, 2))[-1] == (10, 6)
    assert second.looked == [6, 7, 8, 9]


def _packed_bomb(content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("seen", "mask", "key"):
            array = io.BytesIO()
            np.save(array, np.zeros(1 << 20, np.uint8))
            archive.writestr(f"{name}.npy", array.getvalue())
    return made.getvalue()


def _flipped(content: bytes) -> bytes:
    at = content.index(b"\x00\x00\x80\x3f") + 40  # within the numbers of place 1
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


class _Trace:
    """Would leave a file behind if it were unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("trace-of-a-pickle"),)  # type: ignore[return-value]


def _pickled(content: bytes) -> bytes:
    made = io.BytesIO()
    np.savez(made, seen=np.array([_Trace()], object), key=np.zeros(64, np.uint8))
    return made.getvalue()


@pytest.mark.parametrize(
    "spoilt",
    [_flipped, _packed_bomb, _pickled, lambda content: content[:200], lambda content: b""],
    ids=["a bit", "packed", "pickled", "cut off", "empty"],
)
def test_a_damaged_part_is_made_anew(avatar: Path, spoilt: Callable[[bytes], bytes]) -> None:
    Looker(keeping(avatar)).prepared.of([0, 1])
    file = files_of(avatar)[1]
    file.write_bytes(spoilt(file.read_bytes()))
    again = Looker(keeping(avatar))
    assert again.prepared.of([0, 1]) == [0, 1]
    assert again.looked == [1]
    assert not Path("trace-of-a-pickle").exists()
    assert Looker(keeping(avatar)).prepared.of([0, 1]) == [0, 1]


def test_parts_of_other_weights_or_another_avatar_are_not_believed(avatar: Path) -> None:
    Looker(keeping(avatar)).prepared.of([0])
    [theirs] = files_of(avatar)
    other = Looker(keeping(avatar, weights="def"))
    ours = next(each for each in avatar.with_name("prepared").iterdir() if each != theirs.parent)
    (ours / theirs.name).write_bytes(theirs.read_bytes())
    other.prepared.of([0])
    assert other.looked == [0], "moved there by hand, it still names its own key"
    before = key_of(avatar)
    (avatar / "avatar.json").write_text("{ }")
    assert key_of(avatar) != before


def test_a_part_of_another_shape_is_made_anew(avatar: Path) -> None:
    keeping(avatar).write(0, {"seen": np.zeros((2, 2), np.float32)})
    looker = Looker(keeping(avatar))
    looker.prepared.of([0])
    assert looker.looked == [0]


def test_no_more_is_kept_than_may_be(avatar: Path) -> None:
    most = 8000
    looker = Looker(keeping(avatar, most))
    looker.prepared.of(list(range(100)))
    kept = sum(each.stat().st_size for each in files_of(avatar))
    assert most / 2 < kept <= most
    again = Looker(keeping(avatar, most))
    again.prepared.of(list(range(100)))
    assert len(again.looked) == 100 - len(files_of(avatar)), "what has no room is made each time"


def test_what_was_not_used_for_longest_makes_room(avatar: Path) -> None:
    for weights in ("old", "new", "own"):
        Looker(keeping(avatar, weights=weights)).prepared.of([0, 1, 2])
    used = sum(each.stat().st_size for each in files_of(avatar))
    keeping(avatar, 2 * used * 2 // 3 + 100, "own")
    left = {weights: keeping(avatar, weights=weights).read(0) for weights in ("old", "new", "own")}
    assert left["old"] is None
    assert left["new"] is not None
    assert left["own"] is not None


def test_nothing_comes_back_once_the_avatar_is_removed(avatar: Path, tmp_path: Path) -> None:
    parts = Keeping(str(tmp_path / "gone" / "prepared"), "abc", MB).parts(avatar)
    looker = Looker(parts)
    assert looker.prepared.of([0, 1]) == [0, 1]
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("keeping", [Keeping(), Keeping("x", "", 1), Keeping("x", "abc", 0)])
def test_without_a_place_a_hash_or_room_nothing_is_kept(avatar: Path, keeping: Keeping) -> None:
    assert keeping.parts(avatar) is None
    looker = Looker(None)
    assert (looker.prepared.of([2, 2]), looker.prepared.of([2])) == ([2, 2], [2])
    assert looker.looked == [2, 2]
