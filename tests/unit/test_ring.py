"""The picture ring: credits, sharing, and what becomes of it when somebody dies."""

from __future__ import annotations

import fcntl
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_pool.contracts import PictureFormat, PictureRef, RingError
from gpu_pool.credits import Credits
from gpu_pool.ring import MEMORY, PREFIX, Ring, RingReader, ring_bytes, unlink_stale

SMALL = PictureFormat(64, 36, 25)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    made = Ring(4, SMALL.picture_bytes, tmp_path)
    yield made
    made.close()


def rings(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


# --- credits --------------------------------------------------------------------------------


def test_all_slots_or_none_are_taken() -> None:
    credits_ = Credits(4)
    assert len(credits_.take(3)) == 3
    assert credits_.take(2) == ()
    assert credits_.free == 1


def test_a_slot_that_is_released_twice_is_free_once() -> None:
    credits_ = Credits(2)
    refs = credits_.take(2)
    assert [credits_.release(refs), credits_.release(refs)] == [2, 0]
    assert credits_.free == 2


def test_an_old_reference_does_not_free_the_picture_that_has_its_place_now() -> None:
    credits_ = Credits(1)
    old = credits_.take(1)
    credits_.release(old)
    credits_.take(1)
    assert credits_.release(old) == 0
    assert credits_.free == 0


def test_slots_that_do_not_exist_are_ignored() -> None:
    assert Credits(2).release([PictureRef(7, 1), PictureRef(-1, 0)]) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_no_slot_is_ever_out_twice(steps: list[tuple[bool, int]]) -> None:
    credits_ = Credits(6)
    out: list[PictureRef] = []
    for take, count in steps:
        if take:
            out += credits_.take(count)
        else:
            assert credits_.release(out[:count]) == len(out[:count])
            del out[:count]
        assert len({ref.slot for ref in out}) == len(out)
        assert credits_.free == 6 - len(out)


# --- sharing --------------------------------------------------------------------------------


def test_a_reader_sees_in_place_what_the_owner_wrote(ring: Ring) -> None:
    (ref,) = ring.take(1)
    ring.picture(ref, SMALL)[:] = 77
    picture = RingReader(ring.path).picture(ref, SMALL)
    assert picture is not None
    assert picture.shape == (54, 64)
    assert (picture == 77).all()
    ring.picture(ref, SMALL)[:] = 78
    assert (picture == 78).all()


def test_a_reader_cannot_write(ring: Ring) -> None:
    (ref,) = ring.take(1)
    picture = RingReader(ring.path).picture(ref, SMALL)
    assert picture is not None
    with pytest.raises(ValueError, match="read-only"):
        picture[:] = 0


def test_a_reader_is_not_given_a_picture_whose_slot_was_taken_again(ring: Ring) -> None:
    reader = RingReader(ring.path)
    refs = ring.take(4)
    ring.release(refs)
    assert reader.picture(refs[0], SMALL) is not None
    ring.take(4)
    assert reader.picture(refs[0], SMALL) is None
    assert reader.picture(PictureRef(99, 1), SMALL) is None


def test_pictures_of_several_formats_share_a_ring(ring: Ring) -> None:
    narrow = PictureFormat(32, 36, 25)
    first, second = ring.take(2)
    ring.picture(first, SMALL)[:] = 1
    ring.picture(second, narrow)[:] = 2
    assert ring.picture(second, narrow).shape == (54, 32)
    assert (ring.picture(first, SMALL) == 1).all()
    with pytest.raises(RingError, match="cannot hold"):
        ring.picture(first, PictureFormat(128, 72, 25))


def test_mapped_pictures_outlive_the_file_and_the_owner(tmp_path: Path) -> None:
    ring = Ring(2, SMALL.picture_bytes, tmp_path)
    (ref,) = ring.take(1)
    ring.picture(ref, SMALL)[:] = 5
    reader = RingReader(ring.path)
    ring.close()
    assert rings(tmp_path) == []
    picture = reader.picture(ref, SMALL)
    assert picture is not None
    assert (picture == 5).all()
    with pytest.raises(RingError):
        RingReader(ring.path)


def test_a_picture_may_outlive_its_reader(ring: Ring) -> None:
    (ref,) = ring.take(1)
    ring.picture(ref, SMALL)[:] = 9
    picture = RingReader(ring.path).picture(ref, SMALL)
    gc.collect()
    assert picture is not None
    assert picture.sum() == 9 * SMALL.picture_bytes


@pytest.mark.parametrize("content", [b"", b"short", bytes(8192), os.urandom(8192)])
def test_a_file_that_is_no_ring_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RingError, match="no picture ring"):
        RingReader(tmp_path / "file")


def test_slots_do_not_overlap() -> None:
    assert ring_bytes(3, 4097) == 4096 + 3 * 8192


# --- memory ---------------------------------------------------------------------------------


def test_memory_that_is_not_there_is_an_error_at_start_with_both_figures() -> None:
    """Frigate: a full /dev/shm is a SIGBUS that nothing can catch (#528, #261, #1354, #949)."""
    total = os.statvfs(MEMORY).f_blocks * os.statvfs(MEMORY).f_frsize
    before = rings(MEMORY)
    with pytest.raises(RingError, match=r"needs \d+ MiB in /dev/shm, where \d+ MiB are free"):
        Ring(2, total)
    assert set(rings(MEMORY)) <= set(before)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="No such file"):
        Ring(2, 4096, tmp_path / "missing")


def test_a_ring_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="holds nothing"):
        Ring(0, 4096, tmp_path)


def test_every_page_is_claimed_at_start(ring: Ring) -> None:
    assert ring.path.stat().st_blocks * 512 >= ring_bytes(4, SMALL.picture_bytes)


def test_only_the_owner_of_the_account_may_look(ring: Ring) -> None:
    assert ring.path.stat().st_mode & 0o777 == 0o600


# --- what dead owners leave -----------------------------------------------------------------

OWNER = """
import sys, os
from pathlib import Path
from gpu_pool.ring import Ring
ring = Ring(2, 4096, Path(sys.argv[1]))
print(ring.path.name, flush=True)
os.kill(os.getpid(), 9) if sys.argv[2] == "die" else sys.stdin.read()
"""


def owner(folder: Path, fate: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), fate],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_ring_that_a_killed_owner_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Frigate #22716: stale segments survive a restart and spoil pictures."""
    process, name = owner(tmp_path, "die")
    process.communicate()
    assert rings(tmp_path) == [name]
    Ring(2, 4096, tmp_path).close()
    assert rings(tmp_path) == []


def test_the_ring_of_a_living_owner_stays(tmp_path: Path) -> None:
    process, name = owner(tmp_path, "live")
    try:
        assert unlink_stale(tmp_path) == []
        assert rings(tmp_path) == [name]
    finally:
        end(process)


def test_a_workers_descriptor_does_not_hold_the_owners_lock(ring: Ring) -> None:
    """Else a worker stuck in a driver would keep the ring of a dead owner."""
    descriptor = ring.open_for_worker()
    with pytest.raises(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "somebody").write_bytes(b"x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "somebody")
    assert unlink_stale(tmp_path) == []


def test_no_two_rings_have_the_same_name(tmp_path: Path) -> None:
    """A reader of an earlier life must never attach to a later one by chance."""
    made = [Ring(1, 4096, tmp_path) for _ in range(20)]
    assert len({ring.path for ring in made}) == 20
    for ring in made:
        ring.close()


READER = """
import sys
from pathlib import Path
from gpu_pool.contracts import PictureFormat, PictureRef
from gpu_pool.ring import RingReader
picture = RingReader(Path(sys.argv[1])).picture(PictureRef(0, 1), PictureFormat(64, 36, 25))
print(int(picture[0, 0]))
"""


def test_a_reader_that_ends_removes_nothing_and_says_nothing(ring: Ring) -> None:
    """Python 3.11's shared_memory: a reader's tracker unlinks it at exit (Frigate #9382)."""
    (ref,) = ring.take(1)
    ring.picture(ref, SMALL)[:] = np.uint8(200)
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(ring.path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("200\n", "")
    assert ring.path.exists()
