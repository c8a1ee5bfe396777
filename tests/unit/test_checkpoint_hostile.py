"""Pickles that try to do more than hold weights: refused by name, and nothing has happened."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_pool.engines.checkpoint import CheckpointRefused, open_checkpoint
from gpu_pool.engines.checkpoint.pickled import PickleRefused, Unpickled
from tests.doubles.weight_files import Call, Storage, pickled, tensor, torch_archive

WEIGHTS = {"w": tensor(Storage("0", 4), 4)}


def payloads(trace: Path) -> dict[str, Any]:
    """Each would leave a file at ``trace`` if anything of it ran."""
    touch, code = f"touch {trace}", f"open({str(trace)!r}, 'w').close()"
    loader = Call("importlib", "import_module", "os")
    return {
        "posix.system": Call("posix", "system", touch),
        "os.system": Call("os", "system", touch),
        "subprocess.Popen": Call("subprocess", "Popen", ["touch", str(trace)]),
        "builtins.eval": Call("builtins", "eval", f"__import__('os').system({touch!r})"),
        "__builtin__.exec": Call("__builtin__", "exec", code),
        "builtins.getattr": Call("builtins", "getattr", loader, "system"),
        "importlib.import_module": loader,
        "torch.load": Call("torch", "load", str(trace)),
        "torch.hub.load": Call("torch.hub", "load", "a/b", "c"),
        "torch.storage._load_from_bytes": Call("torch.storage", "_load_from_bytes", b"x"),
        "numpy.core.multiarray._reconstruct": Call("numpy.core.multiarray", "_reconstruct"),
        "collections.OrderedDict.fromkeys": Call("collections", "OrderedDict.fromkeys", "ab"),
        "torch.Size.__class__": Call("torch", "Size.__class__", "x", (), {}),
    }


def as_archive(path: Path, data: bytes) -> Path:
    return torch_archive(path, data, **{"data/0": bytes(16)})


def as_script(path: Path, data: bytes) -> Path:
    code = f"import os\nos.system('touch {path.parent / 'trace'}')\n".encode()
    return torch_archive(path, data, **{"data/0": bytes(16), "code/__torch__.py": code})


def as_stream(path: Path, data: bytes) -> Path:
    head = b"".join(pickled(each) for each in (0x1950A86A20F9469CFC6C, 1001, {}))
    path.write_bytes(head + data + pickled(["0"]) + struct.pack("<q", 4) + bytes(16))
    return path


@pytest.mark.parametrize("form", [as_archive, as_script, as_stream])
@pytest.mark.parametrize("name", list(payloads(Path("x"))))
def test_a_call_of_anything_is_refused_by_name_and_does_not_happen(
    name: str, form: Callable[[Path, bytes], Path], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    file = form(tmp_path / "a.pth", pickled({**WEIGHTS, "x": payloads(trace)[name]}))
    with pytest.raises(CheckpointRefused) as refused:
        open_checkpoint(file)
    assert str(refused.value).startswith(f"{file}: refused: wants to call ")
    assert not trace.exists()


def test_the_payload_would_really_leave_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    pickle.loads(pickled(payloads(trace)["posix.system"]))
    assert trace.exists()


def test_the_code_of_a_script_is_never_run_even_where_its_weights_are_read(tmp_path: Path) -> None:
    root = Call("__torch__.models", "Net")
    built = pickled(root)[:-1] + pickled(WEIGHTS)[2:-1] + pickle.BUILD + pickle.STOP
    opened = open_checkpoint(as_script(tmp_path / "a.pth", built))
    assert opened.form == "TorchScript"
    assert opened.array("w").tolist() == [0, 0, 0, 0]
    assert not (tmp_path / "trace").exists()


def global_(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80\x02" + b"r\xff\xff\xff\x7f" + b".", "a memo larger than itself"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "a memo larger than itself"),
        (b"\x80\x02\x82\x01.", "calls a registered extension"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "calls a registered extension"),
        (b"\x80\x02", "a broken pickle"),
        (b"\x80\x02.", "a broken pickle"),
        (b"\x80\x02)R.", "a broken pickle"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "a broken pickle"),
        (b"\x80\x02U\x01aQ.", "no storage"),
        (b"\x80\x02" + global_("torch", "FloatStorage") + b")R.", "a broken pickle"),
        (b"(" * 200_000 + b".", "a broken pickle"),
    ],
)
def test_pickles_that_are_broken_or_greedy_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(PickleRefused, match=said):
        Unpickled(data)


def test_an_odd_escape_in_an_old_text_is_read_without_a_warning() -> None:
    assert Unpickled(b"S'\\q'\n.").value == "\\q"


def test_a_pickle_leaves_no_trace_on_what_it_may_name() -> None:
    """Opcode BUILD sets attributes of whatever lies on the stack."""
    names = (
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch", "FloatStorage"),
        ("torch", "Size"),
        ("__torch__", "Net"),
    )
    value = pickled({"dtype": "int8", "__call__": 1, "__new__": 2})[2:-1]
    for slots in (b"N" + value + b"\x86", value):
        for module, name in names:
            data = b"\x80\x02" + global_(module, name) + slots + b"b."
            try:
                Unpickled(data)
            except PickleRefused:
                continue
    again = Unpickled(pickled(OrderedDict(WEIGHTS))).value
    assert list(again) == ["w"]
    assert again["w"].dtype == "float32"
    assert OrderedDict(a=1) == {"a": 1}
    fresh = Unpickled(pickled(Call("__torch__", "Net"))[:-1] + b"}b.")
    assert type(fresh.value) is fresh.script_class


def test_a_tensor_cannot_be_changed_once_it_was_checked() -> None:
    wider = pickled((None, {"shape": (1 << 40,), "offset": 99}))[2:-1]
    with pytest.raises(PickleRefused):
        Unpickled(pickled(WEIGHTS["w"])[:-1] + wider + b"b.")


def test_a_dictionary_that_holds_itself_is_no_endless_loop(tmp_path: Path) -> None:
    ring = b"\x80\x02}q\x00(U\x01ah\x00u."
    with pytest.raises(CheckpointRefused, match="is no tensor"):
        open_checkpoint(as_archive(tmp_path / "a.pth", ring))
    with pytest.raises(CheckpointRefused):
        open_checkpoint(as_stream(tmp_path / "b.pth", ring))


def test_a_script_that_holds_itself_is_no_endless_loop(tmp_path: Path) -> None:
    made = b"\x80\x02" + global_("__torch__", "Net") + b")\x81q\x00}U\x05innerh\x00sb."
    with pytest.raises(CheckpointRefused, match="TorchScript module that cannot be read"):
        open_checkpoint(as_script(tmp_path / "a.pth", made))


GOOD = pickled({"state_dict": OrderedDict(WEIGHTS), "optimizer": None, "global_step": 12})


@settings(max_examples=400, deadline=None, database=None)
@given(
    at=st.integers(0, len(GOOD) - 1),
    by=st.binary(max_size=6),
    cut=st.integers(0, 8),
    form=st.sampled_from([as_archive, as_script, as_stream]),
)
def test_any_damage_to_a_file_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory,
    at: int,
    by: bytes,
    cut: int,
    form: Callable[[Path, bytes], Path],
) -> None:
    file = tmp_path_factory.getbasetemp() / f"damaged-{os.getpid()}.pth"
    form(file, GOOD[:at] + by + GOOD[at + cut :])
    try:
        opened = open_checkpoint(file)
        for name in opened.tensors:
            assert opened.array(name).size <= 4
    except CheckpointRefused:
        pass


def test_the_undamaged_file_is_read(tmp_path: Path) -> None:
    for form in (as_archive, as_stream):
        np.testing.assert_array_equal(
            open_checkpoint(form(tmp_path / "a.pth", GOOD)).array("w"), np.zeros(4)
        )
