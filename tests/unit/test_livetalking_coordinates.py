"""``coords.pkl`` is data: every form of it is read alike, and nothing in it is ever executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.engines.face import AvatarRefused
from gpu_pool.engines.livetalking.coordinates import MOST_BYTES, read_boxes
from tests.doubles.brought_avatar import FIXTURES
from tests.doubles.weight_files import Call, pickled

EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
ROWS = [(20, 84, 30, 82), (21, 85, 0, 300)]


def read(value: Any, protocol: int = 4) -> list[tuple[int, int, int, int]]:
    return read_boxes(pickle.dumps(value, protocol), "coords.pkl")


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("avatar_wav2lip/coords.pkl", EXPECTED["avatar_wav2lip"]["coords"]),
        ("avatar_musetalk/coords.pkl", EXPECTED["avatar_musetalk"]["coords"]),
        ("avatar_musetalk/mask_coords.pkl", EXPECTED["avatar_musetalk"]["mask_coords"]),
        ("coords_wav2lip_numpy1.pkl", EXPECTED["coords_wav2lip_numpy1.pkl"]["coords"]),
    ],
)
def test_files_of_other_systems_are_read(file: str, entry: list[list[int]]) -> None:
    found = read_boxes((FIXTURES / file).read_bytes(), file)
    assert [list(each) for each in found] == entry
    assert all(type(number) is int for each in found for number in each)


FORMS: dict[str, Any] = {
    "tuples": ROWS,
    "lists in a tuple": tuple(list(row) for row in ROWS),
    "numpy scalars": [tuple(np.int64(n) for n in row) for row in ROWS],
    "one array": np.array(ROWS),
    "an array each": [np.array(row, np.int32) for row in ROWS],
    "floats of the other byte order": np.asfortranarray(np.array(ROWS, ">f4")),
    "everything mixed": [[np.int32(20), 84, 30.0, np.float64(82)], ROWS[1]],
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_and_protocol_says_the_same(form: str, protocol: int) -> None:
    assert read(FORMS[form], protocol) == ROWS


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_names_of_numpy_1_are_known_too(protocol: int) -> None:
    for form in ("numpy scalars", "one array"):
        data = pickle.dumps(FORMS[form], protocol)
        old = data.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
        old = old.replace(b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric")
        old = old.replace(b"cnumpy._core.", b"cnumpy.core.")
        if protocol > 2:  # the frame's length is part of protocol 4 and 5
            shorter = len(data) - len(old)
            length = int.from_bytes(old[3:11], "little") - shorter
            old = old[:3] + length.to_bytes(8, "little") + old[11:]
        assert old != data
        assert read_boxes(old, "coords.pkl") == ROWS


def payloads(trace: Path) -> dict[str, Any]:
    """Each would leave a file at ``trace`` if anything of it ran."""
    touch, code = f"touch {trace}", f"open({str(trace)!r}, 'w').close()"
    loader = Call("importlib", "import_module", "os")
    return {
        "posix.system": Call("posix", "system", touch),
        "subprocess.Popen": Call("subprocess", "Popen", ["touch", str(trace)]),
        "builtins.eval": Call("builtins", "eval", f"__import__('os').system({touch!r})"),
        "__builtin__.exec": Call("__builtin__", "exec", code),
        "builtins.getattr": Call("builtins", "getattr", loader, "system"),
        "numpy.load": Call("numpy", "load", str(trace)),
        "numpy.core.multiarray.fromfile": Call("numpy.core.multiarray", "fromfile", str(trace)),
        "numpy.memmap": Call("numpy", "memmap", str(trace), "u1", "w+", 0, 1),
        "numpy.dtype.__class__": Call("numpy", "dtype.__class__", "x", (), {}),
        "torch.load": Call("torch", "load", str(trace)),
        "torch._utils._rebuild_tensor_v2": Call("torch._utils", "_rebuild_tensor_v2", 1),
        "collections.OrderedDict": Call("collections", "OrderedDict"),
        "__torch__.Net": Call("__torch__", "Net"),
    }


@pytest.mark.parametrize("place", ["alone", "behind a box", "as a number"])
@pytest.mark.parametrize("name", list(payloads(Path("x"))))
def test_a_call_of_anything_is_refused_and_does_not_happen(
    name: str, place: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    call = payloads(trace)[name]
    value = {"alone": call, "behind a box": [*ROWS, call], "as a number": [(1, 2, 3, call)]}[place]
    with pytest.raises(AvatarRefused, match=r"^coords\.pkl: refused: (wants to call|uses the opc)"):
        read_boxes(pickled(value), "coords.pkl")
    assert not trace.exists()


def test_the_payload_would_really_leave_a_trace(tmp_path: Path) -> None:
    pickle.loads(pickled(payloads(tmp_path / "trace")["posix.system"]))
    assert (tmp_path / "trace").exists()


def test_the_hostile_fixture_is_refused_by_name() -> None:
    said = r"coords\.pkl: refused: wants to call posix\.system, which no boxes need"
    with pytest.raises(AvatarRefused, match=said):
        read_boxes((FIXTURES / "hostile_coords.pkl").read_bytes(), "coords.pkl")


def test_a_name_that_would_change_the_terminal_is_not_repeated() -> None:
    data = b"\x80\x04\x8c\x02os\x8c\x05\x1b[2Jx\x93."
    with pytest.raises(AvatarRefused) as refused:
        read_boxes(data, "coords.pkl")
    assert "\x1b" not in str(refused.value)
    with pytest.raises(AvatarRefused) as refused:
        read_boxes(b"\x80\x02c" + b"o" * 100_000 + b"\nx\n.", "coords.pkl")
    assert len(str(refused.value)) < 200


SHARED = (
    b"\x80\x04)\x94"
    + b"h\x00h\x00\x86\x94"
    + b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(1, 60))
)
"""A nest of tuples, each twice in the next: hashing it would take longer than the sun shines."""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (SHARED + b"}h\x3b\x88s.", "uses the opcode EMPTY_DICT"),
        (SHARED + b"(h\x3b\x91.", "uses the opcode FROZENSET"),
        (SHARED + b"(h\x3bl.", "four numbers are needed"),
        (b"\x80\x02\x82\x01.", "uses the opcode EXT1"),
        (b"\x80\x02U\x01aQ.", "uses the opcode SHORT_BINSTRING"),
        (b"\x80\x02)Q.", "uses the opcode BINPERSID"),
        (b"(ios\nsystem\n.", "uses the opcode INST"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "uses the opcode NEWOBJ"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "a memo larger than itself"),
        (b"\x80\x02", "a broken pickle"),
        (b"", "a broken pickle"),
        (b"no pickle", "a broken pickle"),
        (b"(" * 200_000 + b".", "refused"),
        (b"\x80\x02]" + b"K\x01a" * (MOST_BYTES // 3) + b".", "more than 4 MiB"),
        (b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "no plain number"),
        (b"\x80\x02cnumpy\ndtype\nX\x03\x00\x00\x00M8[\x85R.", "no plain number"),
    ],
)
def test_what_is_greedy_broken_or_no_number_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(AvatarRefused, match=said):
        read_boxes(data, "coords.pkl")


def test_bytes_are_not_multiplied() -> None:
    once = b"\x80\x02c_codecs\nencode\nq\x00X\x00\x00\x10\x00" + b"a" * (1 << 20)
    once += b"q\x01X\x06\x00\x00\x00latin1q\x02000]"
    with pytest.raises(AvatarRefused, match="more bytes than it is long"):
        read_boxes(once + b"h\x00h\x01h\x02\x86Ra" * 1000 + b".", "coords.pkl")


def array(shape: tuple[int, ...], data: bytes, kind: str = "i4") -> Any:
    made = pickled(Call("numpy.core.multiarray", "_reconstruct", None, (0,), b"b"))[2:-1]
    dtype = pickled(Call("numpy", "dtype", kind))[2:-1]
    state = b"(K\x01" + pickled(shape)[2:-1] + dtype + b"\x89" + pickled(data)[2:-1] + b"t"
    return b"\x80\x02" + made + state + b"b."


@pytest.mark.parametrize("shape", [(1 << 40, 4), (-1, 4), (2, 4), (4, 4, 4, 4)])
def test_an_array_that_lies_about_its_size_is_refused(shape: tuple[int, ...]) -> None:
    good = array((1, 4), np.array(ROWS[0], "<i4").tobytes())
    assert read_boxes(good, "coords.pkl") == ROWS[:1]
    with pytest.raises(AvatarRefused, match=r"another size|without a shape"):
        read_boxes(array(shape, bytes(16)), "coords.pkl")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "a list of boxes"),
        (7, "a list of boxes"),
        ("1234", "a list of boxes"),
        ([(1, 2, 3)], "entry 0: four numbers"),
        ([ROWS[0], (1, 2, 3, 4, 5)], "entry 1: four numbers"),
        ([ROWS[0], 7], "entry 1: four numbers"),
        ([(1, 2, 3, "4")], "entry 0: whole numbers"),
        ([(1, 2, 3, True)], "entry 0: whole numbers"),
        ([(1, 2, 3, None)], "entry 0: whole numbers"),
        ([(1, 2, 3, 4.5)], "entry 0: whole numbers"),
        ([(1, 2, 3, float("nan"))], "entry 0: whole numbers"),
        ([(1, 2, 3, float("inf"))], "entry 0: whole numbers"),
        ([(1, 2, 3, 1 << 40)], "entry 0: whole numbers within"),
        (np.zeros((2, 2, 4)), "entry 0: four numbers|whole numbers"),
        (np.array(5), "a list of boxes|four numbers"),
    ],
)
def test_entries_that_are_no_boxes_are_named(value: Any, said: str) -> None:
    with pytest.raises(AvatarRefused, match=said):
        read(value)


def test_opcode_build_changes_nothing_that_another_reading_sees() -> None:
    for module, name in (
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "encode"),
        ("numpy", "ndarray"),
    ):
        named = b"\x80\x02c" + f"{module}\n{name}\n".encode()
        for state in ((None, ("kind", "O")), (1, 2), "x"):
            with pytest.raises(AvatarRefused):
                read_boxes(named + pickled(state)[2:-1] + b"b.", "coords.pkl")
    for form in FORMS.values():
        assert read(form) == ROWS


GOOD = [pickle.dumps(FORMS[form], protocol) for form in FORMS for protocol in (0, 2, 4, 5)]


@settings(max_examples=300, deadline=None, database=None)
@given(
    good=st.sampled_from(GOOD),
    at=st.integers(0, 400),
    by=st.binary(max_size=6),
    cut=st.integers(0, 8),
)
def test_any_damage_is_refused_or_harmless(good: bytes, at: int, by: bytes, cut: int) -> None:
    at = min(at, len(good))
    try:
        found = read_boxes(good[:at] + by + good[at + cut :], "coords.pkl")
        assert all(type(number) is int for each in found for number in each)
    except AvatarRefused:
        pass
