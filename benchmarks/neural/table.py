"""What was measured, as tables for benchmarks/results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.neural.cases import Job
from benchmarks.neural.final import Final

MODEL_HEAD = ("network", "plain, float32", "ours, float32", "ours, auto", "ours / plain", "goal")
FINAL_HEAD = (
    *("final pictures", "a second by the clock", "a CPU second", "ours / plain", "goal"),
    *("first batch, s", "worker at its peak, MB (and of a GPU)", "J a picture"),
)


@dataclass
class Table:
    """Rows as they are found; each is printed at once."""

    machine: str
    device: str
    models: list[tuple[str, ...]] = field(default_factory=list)
    finals: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def model(
        self, title: str, fps: Mapping[str, float], ratios: Mapping[str, float], goal: str
    ) -> None:
        figures = (_figure(fps.get(name, 0.0)) for name in ("plain", "float32", "auto"))
        found = ", ".join(f"{each:.2f}" for each in ratios.values())
        self._add(self.models, (title, *figures, found, goal))

    def final(self, job: Job, way: str, rounds: Sequence[Final], ratio: float, goal: str) -> None:
        named = "plain, float32" if way == "plain" else f"ours, {way}"
        steps = f", {job.steps} steps" if job.engine == "latentsync" else ""
        workers = f", {job.workers} workers" if job.workers > 1 and way != "plain" else ""
        row = (
            f"{job.name}, batch {job.batch}{steps}, {named}{workers}",
            _figure(max(each.fps for each in rounds)),
            _figure(statistics.median(each.cpu_fps for each in rounds)),
            f"{ratio:.2f}" if ratio else "",
            goal,
            f"{min(each.first_s for each in rounds):.3g}",
            _memory(rounds, job.device),
            rounds[-1].energy,
        )
        self._add(self.finals, row)

    def scale(self, job: Job, one: float, two: float, goal: str) -> None:
        note = (
            f"{job.name}, two workers of one thread / one, by the clock: {two:.1f} / {one:.1f} "
            f"pictures/s = {two / one:.2f} (goal {goal})."
        )
        self.notes.append(note)
        print(note, flush=True)

    def text(self) -> str:
        """Markdown."""
        counted = "per CPU second" if self.device == "cpu" else "a second"
        parts = [f"Machine: {self.machine}. Pictures {counted}, where nothing else is said."]
        for head, rows in ((MODEL_HEAD, self.models), (FINAL_HEAD, self.finals)):
            if rows:
                rule = "|".join(["---"] * len(head))
                lines = [_line(head), f"|{rule}|", *map(_line, rows)]
                parts.append("\n".join(lines))
        return "\n\n".join([*parts, *self.notes]) + "\n"

    def print(self) -> None:
        print("\n" + self.text(), flush=True)

    def append(self, file: Path) -> None:
        """Behind what stands there."""
        with file.open("a", encoding="utf-8") as out:
            out.write("\n" + self.text())

    def _add(self, rows: list[tuple[str, ...]], row: tuple[str, ...]) -> None:
        rows.append(row)
        print(_line(row), flush=True)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _memory(rounds: Sequence[Final], device: str) -> str:
    host = f"{max(each.memory_mb for each in rounds):.0f}"
    return host if device == "cpu" else f"{host} + {max(each.gpu_mb for each in rounds):.0f}"


def _figure(fps: float) -> str:
    """Three figures."""
    if not fps:
        return ""
    return f"{fps:.0f}" if fps >= 100 else f"{fps:.3g}"
