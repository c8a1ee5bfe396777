"""The training loop: seeded, on one core, in pieces of any length with a checkpoint between.

Fifth step of the training path. Two runs of the same seeds see the same examples.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gpu_pool.engines.mouth.net import LOOKAHEAD_FRAMES
from gpu_pool.engines.mouth.visemes import INDEX, VISEMES
from gpu_pool.training.mouth.augment import Tape, draw, splice
from gpu_pool.training.mouth.corpus import load
from gpu_pool.training.mouth.disturb import Disturbance
from gpu_pool.training.mouth.model import LogMel, MouthModel

SEED = 20
BATCH = 24
PEAK_RATES = (3e-3, 1.5e-3)
"""One cycle up and down takes two thirds of the steps, a gentler one the rest."""
_RARE: Mapping[str, float] = {"PP": 1.5, "FF": 1.5, "TH": 1.5, "CH": 1.3, "RR": 1.3}
"""Visemes that the eye notices and speech has few of weigh more."""
_CURVES_WEIGHT = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """Where the sets lie and the checkpoint goes, how many steps, how long this piece may take."""

    corpus: Path
    checkpoint: Path
    steps: int
    piece_s: float


def train(run: Run) -> bool:
    """Train on from the checkpoint, if any.

    Returns:
        Whether all steps are done; False when the piece's time is up.
    """
    torch.set_num_threads(1)
    state = _State(run)
    began_s = time.monotonic()
    while state.step < run.steps:
        loss, right = state.advance()
        if state.step % 50 == 0:
            seconds = time.monotonic() - began_s
            print(f"{state.step} loss {loss:.3f} right {right:.3f} {seconds:.0f} s", flush=True)
        if time.monotonic() - began_s > run.piece_s:
            break
    state.save(run.checkpoint)
    return state.step >= run.steps


class _State:
    """Everything that a checkpoint holds."""

    def __init__(self, run: Run) -> None:
        torch.manual_seed(SEED)
        self.step = 0
        self._rng = np.random.default_rng(SEED)
        self._disturbance = Disturbance(SEED + 1)
        self._tape = _tape(run.corpus)
        self._mel = LogMel()
        self.model = MouthModel().train()
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(), PEAK_RATES[0], weight_decay=1e-2
        )
        self._cycles = (run.steps * 2 // 3, run.steps - run.steps * 2 // 3)
        self._schedule = self._cycle(0)
        self._weights = torch.tensor([_RARE.get(name, 1.0) for name in VISEMES])
        if run.checkpoint.exists():
            self._resume(run.checkpoint)

    def advance(self) -> tuple[float, float]:
        """One step; the loss, and the share of frames with the right viseme."""
        if self.step == self._cycles[0]:
            self._schedule = self._cycle(1)
        crops = [draw(self._tape, self._disturbance, self._rng) for _ in range(BATCH)]
        sound = torch.from_numpy(np.stack([crop[0] for crop in crops]))
        visemes = torch.from_numpy(np.stack([crop[1] for crop in crops]))
        curves = torch.from_numpy(np.stack([crop[2] for crop in crops]))
        mel = self._masked(self._mel(sound))
        told = self.model(mel)[:, :, LOOKAHEAD_FRAMES:]
        visemes, curves = visemes[:, :-LOOKAHEAD_FRAMES], curves[:, :-LOOKAHEAD_FRAMES]
        loss = self._loss(told, visemes, curves)
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        right = (told[:, : len(VISEMES)].argmax(1) == visemes).float().mean()
        return float(loss.detach()), float(right)

    def save(self, path: Path) -> None:
        """Write the checkpoint; whole or not at all."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "step": self.step,
                "model": self.model.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "schedule": self._schedule.state_dict(),
                "rng": self._rng.bit_generator.state,
                "disturbance": self._disturbance.state,
                "dropout": torch.get_rng_state(),
            },
            part,
        )
        part.rename(path)

    def _resume(self, path: Path) -> None:
        held: dict[str, Any] = torch.load(path, weights_only=True)
        self.step = held["step"]
        self.model.load_state_dict(held["model"])
        if self.step > self._cycles[0]:
            self._schedule = self._cycle(1)
        self._optimiser.load_state_dict(held["optimiser"])  # after the cycle, which sets the rate
        self._schedule.load_state_dict(held["schedule"])
        self._rng.bit_generator.state = held["rng"]
        self._disturbance.state = held["disturbance"]
        torch.set_rng_state(held["dropout"])

    def _cycle(self, number: int) -> torch.optim.lr_scheduler.OneCycleLR:
        return torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser,
            PEAK_RATES[number],
            total_steps=self._cycles[number],
            pct_start=0.15,
        )

    def _masked(self, mel: Tensor) -> Tensor:
        """Now and then a few bands go missing, as behind a steady tone."""
        if self._rng.random() < 0.3:
            low = int(self._rng.integers(0, 36))
            mel[:, :, low : low + int(self._rng.integers(1, 5))] = 0
        return mel

    def _loss(self, told: Tensor, visemes: Tensor, curves: Tensor) -> Tensor:
        classes = functional.cross_entropy(
            told[:, : len(VISEMES)], visemes, weight=self._weights, label_smoothing=0.05
        )
        shapes = told[:, len(VISEMES) :].transpose(1, 2)
        return classes + _CURVES_WEIGHT * functional.smooth_l1_loss(shapes, curves, beta=0.1)


def trained_model(checkpoint: Path) -> MouthModel:
    """The network of a checkpoint, ready to be asked."""
    model = MouthModel()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    model.eval()
    return model


def _tape(corpus: Path) -> Tape:
    clips = [clip for path in sorted(corpus.glob("train_*.npz")) for clip in load(path)]
    if not clips:
        raise FileNotFoundError(f"no training sets in {corpus}")
    assert INDEX["sil"] == 0, "pauses on the tape are labelled 0"
    return splice(clips, np.random.default_rng(SEED + 2))
