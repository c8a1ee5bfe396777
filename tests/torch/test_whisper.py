"""Whisper tiny's spectrogram, encoder and windows against both generations of the originals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpu_pool.engines.checkpoint import layout
from gpu_pool.engines.whisper import mel, windows
from gpu_pool.engines.whisper.encoder import WhisperEncoder, encoder_tensors
from tests.doubles.recipe_networks import (
    CONFORMANCE,
    TOLERANCE,
    off,
    whisper,
    whisper_file,
    whisper_names,
)
from tests.oracles.recipe import normalish, waveform

GOLDEN = np.load(CONFORMANCE / "whisper_tiny.npz")
LOG_MEL = 3e-5
"""The originals compute it in float32."""

KEPT_OF_LONG = {
    "mt10_T1500_fps25": [0, 1, 2, 3, 400, -5, -4, -3, -2, -1],
    "windows_T1500": [0, 1, 2, 3, 400, -5, -4, -3, -2, -1],
    "mt15_L496000_fps25": [0, 1, 2, 3, 4, 747, 748, 749, 750, 751, -3, -2, -1],
}
"""Pictures of half a minute and more: these the golden files hold."""

WAVE = torch.from_numpy(waveform("whisper/wave", 2.6))


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    return whisper(whisper_file())


def test_the_filters_and_the_spectrogram_are_the_originals() -> None:
    np.testing.assert_allclose(mel.filters(), GOLDEN["mel_filters_80x201"], atol=1e-8)
    alone = mel.log_mel(WAVE).numpy()
    np.testing.assert_allclose(alone, GOLDEN["openai_logmel"], atol=LOG_MEL)
    filled = mel.log_mel(WAVE, padded_s=windows.SEGMENT_S).numpy()
    golden = GOLDEN["hf_input_features_sub4"]
    np.testing.assert_allclose(filled[:, : 4 * golden.shape[1] : 4], golden, atol=LOG_MEL)
    tail = GOLDEN["hf_input_features_tailvalue"][0]
    np.testing.assert_allclose(filled[:, -1], tail, atol=LOG_MEL)


@torch.inference_mode()
def test_the_encoders_inner_states_are_the_originals(encoder: WhisperEncoder) -> None:
    heard = torch.from_numpy(normalish("whisper/mel3000", (1, 80, 3000), 0.5))
    rows = torch.from_numpy(GOLDEN["enc_rows"])
    states = encoder(heard, last_norm=False)[0][rows]
    assert off(states.transpose(0, 1), GOLDEN["openai_encoder_embeddings"]) < TOLERANCE
    normed = encoder(heard, last_norm=True)[0][rows]
    assert off(normed[:, -1], GOLDEN["openai_encoder_out"]) < TOLERANCE
    assert off(normed, GOLDEN["hf_encoder_hidden"]) < TOLERANCE


def test_both_namings_of_the_file_are_the_same_network(encoder: WhisperEncoder) -> None:
    names = whisper_names()
    other = encoder_tensors({names[key]: tensor for key, tensor in whisper_file().items()})
    own = encoder.state_dict()
    assert other.keys() == own.keys()
    assert all(torch.equal(other[key], tensor) for key, tensor in own.items())
    for file in ("whisper_tiny_openai", "whisper_tiny_hf"):
        found = encoder_tensors({key: torch.empty(0) for key in layout(file)})
        assert found.keys() == own.keys(), file


@torch.inference_mode()
def test_what_musetalk_1_0_and_latentsync_hear_is_the_originals(encoder: WhisperEncoder) -> None:
    heard = windows.features_1_0(encoder, WAVE)
    assert heard.shape == tuple(GOLDEN["openai_feature_shape"])
    rows = torch.from_numpy(GOLDEN["openai_feature_rows"])
    assert off(heard[rows], GOLDEN["openai_features"]) < TOLERANCE
    count = windows.count_1_0(len(heard), 25)
    assert count == GOLDEN["mt10_num_chunks"]
    tokens = windows.tokens(heard, windows.windows_1_0(0, count, 25, len(heard)))
    chosen = torch.from_numpy(GOLDEN["mt10_chunks_rows"])
    assert off(tokens[chosen], GOLDEN["mt10_chunks"]) < TOLERANCE


@torch.inference_mode()
def test_what_musetalk_1_5_hears_is_the_originals(encoder: WhisperEncoder) -> None:
    heard = windows.features_1_5(encoder, WAVE)
    count = windows.count_1_5(len(WAVE), 25)
    tokens = windows.tokens(heard, windows.windows_1_5(0, count, 25, len(heard)))
    assert tokens.shape == tuple(GOLDEN["hf_chunks_shape"])
    chosen = torch.from_numpy(GOLDEN["hf_chunks_rows"])
    assert off(tokens[chosen], GOLDEN["hf_chunks"]) < TOLERANCE


def test_windows_of_the_first_generation_are_the_originals() -> None:
    tried = 0
    for file in ("musetalk_windows", "latentsync_audio_windows"):
        golden = np.load(CONFORMANCE / f"{file}.npz")
        for key in golden.files:
            if not key.startswith(("mt10_T", "windows_T")):
                continue
            named = key.replace("windows_T", "mt10_T").split("_")
            length, fps = int(named[1][1:]), float(named[2][3:]) if len(named) > 2 else 25
            count = windows.count_1_0(length, fps)
            own = windows.windows_1_0(0, count, fps, length)
            if key in KEPT_OF_LONG:
                own = own[KEPT_OF_LONG[key]]
            np.testing.assert_array_equal(own, golden[key], err_msg=key)
            tried += 1
    assert tried == 26


def test_latentsyncs_chunks_and_their_tokens_are_the_originals() -> None:
    golden = np.load(CONFORMANCE / "latentsync_audio_windows.npz")
    for length in (10, 37, 65, 100, 1500):
        count = windows.count_1_0(length, 25)
        assert count == golden[f"num_chunks_T{length}"]
        assert count // 16 == golden[f"num_inferences_16_T{length}_video1000"]
    later = windows.windows_1_0(5, 16, 25, 100)
    np.testing.assert_array_equal(later, golden["crop_overlap_T100_start5"])
    for file, key in (("latentsync_audio_windows", "token"), ("musetalk_windows", "mt15_token")):
        codes = np.load(CONFORMANCE / f"{file}.npz")[f"{key}_code_frame10"]
        code = 10 * torch.arange(100)[:, None] + torch.arange(5)[None, :]
        features = code[:, :, None].expand(100, 5, 384).float()
        found = windows.tokens(features, windows.windows_1_0(10, 1, 25, 100))[0, :, 0]
        assert found.tolist() == codes.tolist(), file


def test_windows_of_the_second_generation_are_the_originals() -> None:
    golden = np.load(CONFORMANCE / "musetalk_windows.npz")
    tried = 0
    for key in golden.files:
        named = key.split("_")
        if named[0] != "mt15" or not named[1].startswith("L") or len(named) > 3:
            continue
        samples, fps = int(named[1][1:]), int(float(named[2][3:]))  # 29.97 counts as 29
        positions = samples * windows.POSITIONS_PER_S // windows.RATE_HZ
        count = windows.count_1_5(samples, fps)
        own = windows.windows_1_5(0, count, fps, positions)
        if key in KEPT_OF_LONG:
            assert len(own) == golden[f"{key}_n"]
            own = own[KEPT_OF_LONG[key]]
        np.testing.assert_array_equal(own, golden[key], err_msg=key)
        tried += 1
    assert tried == 16


def test_other_programs_windows_lie_beside_ours() -> None:
    """LiveTalking's begin with the picture, so all of what it hears lies 80 ms later than where
    the networks learnt it; a function that MuseTalk's authors do not call begins 20 ms earlier."""
    golden = np.load(CONFORMANCE / "musetalk_windows.npz")
    for key in ("bs16_l10_r10", "bs8_l10_r10", "bs16_l12_r8"):
        pictures, past, _ = (int(part.lstrip("bslr")) for part in key.split("_"))
        positions = int(golden[f"lt_whisper_{key}_samples"]) * windows.POSITIONS_PER_S
        own = windows.windows_1_5(past // 2, pictures, 25, positions // windows.RATE_HZ)
        np.testing.assert_array_equal(own + windows.BEFORE, golden[f"lt_whisper_{key}"])
    earlier = windows.windows_1_0(0, 52, 25, 1000) - 1
    np.testing.assert_array_equal(earlier.clip(0, 99), golden["mt10_sparse_T100_fps25"])


def test_tokens_go_place_by_place_and_level_by_level() -> None:
    code = 10 * torch.arange(20)[:, None] + torch.arange(5)[None, :]
    features = code[:, :, None].expand(20, 5, 384).float()
    rows = windows.windows_1_5(5, 1, 25, 20)
    found = windows.tokens(features, rows)[0, :, 0]
    assert found.tolist() == code[torch.from_numpy(rows[0])].flatten().tolist()
    silent = windows.tokens(features, windows.windows_1_5(0, 1, 25, 20))[0]
    assert not silent[:20].any(), "before the sound there is silence"
