"""Files of weights without torch: what is one is known by its shapes, what is not is refused."""

from __future__ import annotations

import gzip
import math
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pool.engines.checkpoint import (
    VARIANTS,
    CheckpointRefused,
    identify,
    layout,
    open_checkpoint,
)
from tests.doubles.weight_files import (
    Call,
    Storage,
    pickled,
    safetensors,
    tensor,
    torch_archive,
    zero_weights,
)

FOUR = np.array([1.5, -2.0, 3.0, 0.25], np.float32)


def archive(path: Path, value: Any, **more: bytes) -> Path:
    return torch_archive(path, pickled(value), **more)


def four(path: Path, value: Any) -> Path:
    """An archive whose storage ``0`` holds ``FOUR``."""
    return archive(path, value, **{"data/0": FOUR.tobytes(), "byteorder": b"little"})


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_is_known_by_its_names_and_shapes(name: str, tmp_path: Path) -> None:
    opened = open_checkpoint(zero_weights(tmp_path / "any.name", layout(name), "F16"))
    assert identify(opened).name == name
    assert opened.numbers == sum(math.prod(shape) for shape in layout(name).values())
    assert opened.form == "safetensors"


def test_tensors_are_views_of_the_file_wherever_they_lie_in_a_storage(tmp_path: Path) -> None:
    storage = Storage("0", 4)
    weights = {
        "flat": tensor(storage, 4),
        "turned": tensor(storage, 2, 2, strides=(1, 2)),
        "second": tensor(storage, 2, offset=2),
        "scalar": tensor(storage, offset=3),
        "none": tensor(storage, 0),
    }
    opened = open_checkpoint(four(tmp_path / "a.pth", weights))
    assert opened.form == "torch"
    np.testing.assert_array_equal(opened.array("flat"), FOUR)
    np.testing.assert_array_equal(opened.array("turned"), FOUR.reshape(2, 2).T)
    np.testing.assert_array_equal(opened.array("second"), FOUR[2:])
    assert opened.array("scalar") == FOUR[3]
    assert opened.array("none").shape == (0,)
    assert not opened.array("flat").flags.writeable


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict"])
def test_the_wrapper_and_every_module_prefix_come_off(wrapper: str, tmp_path: Path) -> None:
    inner = {"module.face.module.weight": tensor(Storage("0", 4), 4)}
    value = {wrapper: inner, "optimizer": None, "global_step": 7, "dims": {"n_mels": 80}}
    assert list(open_checkpoint(four(tmp_path / "a.pth", value)).tensors) == ["face.weight"]


def test_half_and_brain_floats_are_read_as_numbers(tmp_path: Path) -> None:
    weights = {
        "half": tensor(Storage("h", 4, "HalfStorage"), 4),
        "brain": tensor(Storage("b", 4, "BFloat16Storage"), 4),
    }
    halves = FOUR.astype(np.float16).tobytes()
    brains = (FOUR.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    file = archive(tmp_path / "a.pth", weights, **{"data/h": halves, "data/b": brains})
    opened = open_checkpoint(file)
    np.testing.assert_array_equal(opened.array("half"), FOUR.astype(np.float16))
    np.testing.assert_array_equal(opened.array("brain"), FOUR)


def test_the_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    file = four(tmp_path / "a.pth", {"w": tensor(Storage("0", 4), 4)})
    told = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert open_checkpoint(file).sha256() == told.split()[0]


# --- what is not quite it -------------------------------------------------------------------


def test_a_missing_a_foreign_and_a_misshaped_tensor_are_named(tmp_path: Path) -> None:
    whole, path = dict(layout("bisenet")), tmp_path / "parser.pth"
    first, second, *_ = whole
    lacking = {key: shape for key, shape in whole.items() if key != second}
    for shapes, said in (
        (lacking, f"not quite BiSeNet face parser: missing tensor {second}"),
        ({**whole, "extra.bias": (3,)}, "not quite BiSeNet face parser: unknown tensor extra.bias"),
        ({**whole, first: (1, 2)}, f"{first} has shape [1, 2], not {list(whole[first])}"),
    ):
        with pytest.raises(CheckpointRefused) as refused:
            identify(open_checkpoint(zero_weights(path, shapes)))
        assert str(refused.value).startswith(f"{path}: ")
        assert said in str(refused.value)


def test_one_size_of_wav2lip_is_not_taken_for_the_other(tmp_path: Path) -> None:
    opened = open_checkpoint(zero_weights(tmp_path / "wav2lip.pth", layout("wav2lip96"), "F16"))
    with pytest.raises(
        CheckpointRefused, match="this is Wav2Lip, 96 pixels, not Wav2Lip, 256 pixels"
    ):
        identify(opened, ["wav2lip256"])


def test_counters_may_be_there_or_not_and_tied_weights_too(tmp_path: Path) -> None:
    shapes = {**layout("wav2lip96"), "audio_encoder.0.conv_block.1.num_batches_tracked": ()}
    assert identify(open_checkpoint(zero_weights(tmp_path / "a", shapes, "F16")))
    tied = {**layout("whisper_tiny_hf"), "proj_out.weight": (51865, 384)}
    assert identify(open_checkpoint(zero_weights(tmp_path / "b", tied, "F16")))


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    header, at = {}, 0
    for name, shape in layout("s3fd").items():
        size = math.prod(shape)
        header[name] = {"dtype": "I8", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    opened = open_checkpoint(safetensors(tmp_path / "a", header, at))
    with pytest.raises(CheckpointRefused, match="is int8, no floating point"):
        identify(opened)


def test_weights_of_something_else_are_told_apart_from_a_broken_file(tmp_path: Path) -> None:
    opened = open_checkpoint(four(tmp_path / "a.pth", {"some.weight": tensor(Storage("0", 4), 4)}))
    with pytest.raises(CheckpointRefused, match="a network that is not known here"):
        identify(opened)


# --- what is broken or lies -----------------------------------------------------------------

ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    ("header", "size", "said"),
    [
        ({"a": {**ENTRY, "dtype": "F4"}}, 16, "a: an unknown element type"),
        ({"a": {**ENTRY, "shape": [5]}}, 16, r"a: 16 bytes for shape \[5\]"),
        ({"a": {**ENTRY, "shape": [-2, -2]}}, 16, "a: sizes that are no whole numbers"),
        ({"a": {**ENTRY, "shape": [True, 4]}}, 16, "a: sizes that are no whole numbers"),
        ({"a": {**ENTRY, "shape": [1 << 62, 1 << 62]}}, 16, "16 bytes for shape"),
        ({"a": 3}, 16, "a: an unknown element type"),
        ({"a": ENTRY}, 12, "4 bytes too many or too few"),
        ({"a": ENTRY}, 20, "4 bytes too many or too few"),
        ({"a": ENTRY, "b": ENTRY}, 16, "overlap or leave holes"),
        ({"a": {**ENTRY, "data_offsets": [4, 20]}}, 20, "overlap or leave holes"),
        ({"__metadata__": {"format": "pt"}}, 0, "holds no weights"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(
    header: dict[str, Any], size: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointRefused, match=said):
        open_checkpoint(safetensors(tmp_path / "a.safetensors", header, size))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>Not found", "neither a file of torch.save nor"),
        (b"version https://git-lfs.github.com/spec/v1\n", "neither a file of torch.save nor"),
        (struct.pack("<Q", 1 << 40) + b"{}", "header longer than the file"),
        (struct.pack("<Q", 3) + b"{,}", "a broken safetensors header"),
        (struct.pack("<Q", 60_000) + b'{"a":' * 12_000, "a broken safetensors header"),
        (b"PK\x03\x04" + bytes(60), "a broken archive"),
        (gzip.compress(b"weights"), "neither a file of torch.save nor"),
    ],
)
def test_what_is_no_file_of_weights_is_said_to_be_none(
    content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointRefused, match=said):
        open_checkpoint(file)


def test_a_file_that_is_not_there_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match="cannot be read"):
        open_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(CheckpointRefused, match="cannot be read"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (tensor(Storage("0", 4), 5), "reaches beyond its 4 elements"),
        (tensor(Storage("0", 4), 2, offset=3), "reaches beyond its 4 elements"),
        (tensor(Storage("0", 4), 1 << 40, strides=(0,)), "reaches beyond its 4 elements"),
        (tensor(Storage("0", 4), 2, strides=(-1,)), "no whole numbers"),
        (tensor(Storage("0", 4), 2, offset=-1), "no whole numbers"),
        (tensor(Storage("0", 4), *[1] * 9), "9 dimensions"),
        (tensor(Storage("0", -4), 2), "no whole numbers"),
    ],
)
def test_a_tensor_beyond_its_bytes_is_refused(made: Call, said: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match=said):
        open_checkpoint(four(tmp_path / "a.pth", {"w": made}))


def test_a_storage_whose_bytes_are_missing_is_refused_when_read(tmp_path: Path) -> None:
    weights = {"short": tensor(Storage("0", 5), 5), "absent": tensor(Storage("1", 4), 4)}
    opened = open_checkpoint(four(tmp_path / "a.pth", weights))
    for name in weights:
        with pytest.raises(CheckpointRefused, match=f"the bytes of {name} are not all there"):
            opened.array(name)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    file = four(tmp_path / "a.pth", {"w": tensor(Storage("0", 4), 4)})
    whole = file.read_bytes()
    for size in range(1, len(whole), 7):
        file.write_bytes(whole[:size])
        with pytest.raises(CheckpointRefused):
            open_checkpoint(file).array("w")


def test_a_compressed_archive_cannot_unfold_to_gigabytes(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", pickled({"w": tensor(Storage("0", 4), 4)}))
        bomb.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(CheckpointRefused, match="is compressed, as torch's never is"):
        open_checkpoint(file)


def test_an_archive_of_something_else_is_said_to_be_no_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointRefused, match=r"not one of torch: no data\.pkl"):
        open_checkpoint(tmp_path / "a.zip")


def test_a_big_endian_file_is_refused(tmp_path: Path) -> None:
    value = {"w": tensor(Storage("0", 4), 4)}
    entries = {"data/0": FOUR.tobytes(), "byteorder": b"big"}
    with pytest.raises(CheckpointRefused, match="big-endian"):
        open_checkpoint(archive(tmp_path / "a.pth", value, **entries))


def test_reading_weights_needs_no_torch_and_no_other_framework(tmp_path: Path) -> None:
    file = four(tmp_path / "a.pth", {"w": tensor(Storage("0", 4), 4)})
    code = (
        "import sys, pathlib\n"
        "from gpu_pool.engines.checkpoint import open_checkpoint\n"
        f"print(open_checkpoint(pathlib.Path({str(file)!r})).array('w').sum())\n"
        "print({'torch', 'cv2', 'safetensors', 'av'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "2.75\nset()\n"
