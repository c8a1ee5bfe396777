"""What the engines have to reach, and whether they did."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.neural.cases import HEAVY, Job
from benchmarks.neural.final import Final
from benchmarks.neural.table import Table

MODEL_GOAL, FINAL_GOAL, HEAVY_GOAL, SCALE_GOAL = 1.2, 1.5, 1.0, 1.7
"""On a CPU, times the plain port. Nobody set one for the heavy ones: slower would be a fault."""

GPU_RATIOS = {"wav2lip256": 5.0, "musetalk": 5.0, "latentsync": 3.0}
"""Final pictures, times the plain port."""

GPU_FPS = {"wav2lip256": 2000.0, "musetalk": 400.0, "latentsync": 50.0}
"""Final pictures a second on a GPU of the Hopper class; LatentSync at 20 steps."""

GPU_STEPS = 20


@dataclass
class Judge:
    """Writes rows of the table, and remembers whether a goal was missed."""

    table: Table
    met: bool = True

    def model(self, job: Job, title: str, fps: Mapping[str, float]) -> None:
        least = None
        if job.device == "cpu":
            least = HEAVY_GOAL if job.name in HEAVY else MODEL_GOAL
        ours = [name for name in fps if name != "plain"]
        ratios = {name: fps[name] / fps["plain"] for name in ours}
        said = self._said(list(ratios.values()), least)
        self.table.model(title, fps, ratios, said)

    def final(self, job: Job, found: Mapping[str, Sequence[Final]]) -> None:
        cpu = job.device == "cpu"
        plain = _rate(found["plain"], cpu)
        for name, rounds in found.items():
            said, ratio = "", 0.0
            if name != "plain":
                ratio = _rate(rounds, cpu) / plain
                least: float | None = GPU_RATIOS.get(job.name)
                if cpu:
                    least = HEAVY_GOAL if job.name in HEAVY else FINAL_GOAL
                said = self._said([ratio], least) + self._absolute(job, rounds)
            self.table.final(job, name, rounds, ratio, said)

    def scale(self, job: Job, one: float, two: float, least: float) -> None:
        self.table.scale(job, one, two, self._said([two / one], least))

    def _absolute(self, job: Job, rounds: Sequence[Final]) -> str:
        if job.device == "cpu" or job.name not in GPU_FPS:
            return ""
        if job.engine == "latentsync" and job.steps != GPU_STEPS:
            return ""
        return " pictures/s " + self._said([_rate(rounds, False)], GPU_FPS[job.name])

    def _said(self, values: Sequence[float], least: float | None) -> str:
        if least is None:
            return ""
        met = all(value >= least for value in values)
        self.met &= met
        return f"{least:g} {'met' if met else 'MISSED'}"


def _rate(rounds: Sequence[Final], cpu: bool) -> float:
    """By CPU seconds on a CPU, by the clock on a GPU."""
    return statistics.median(each.cpu_fps if cpu else each.fps for each in rounds)
