"""The times that the pool judges by, in one place; quoted by tests and documents from here.

Values only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds unless the name says otherwise.

    Args:
        beat_s: distance of a worker's signs of life. Each wakes two processes: at 0.5 s an idle
            worker costs nothing that can be measured.
        silent_s: a loaded worker that gave no sign of life for so long is hung. Native code that
            holds the interpreter's lock looks just so; no engine holds it for a second.
        load_silent_s: the same while it loads: setting up a GPU holds the lock for seconds.
        load_s: an engine must have its models loaded by then; gigabytes come off a disk.
        prepare_s: an avatar must be ready and warm by then, once its engine is loaded.
        prepare_patience_s: an avatar waits so long for a moment without a batch; then the next
            batch waits for it.
        avatar_deaths_at_most: workers that may end while an avatar is prepared that was never
            ready, before it is given up.
        first_batch_s: limit for a batch of a worker that has not been measured yet.
        batch_floor_s: no batch is judged hung before this: a busy machine stalls for a second or
            two.
        batch_factor: from there on, so many times what the batch was expected to take.
        slow_s: limits for avatars and batches begin anew whenever the engine was seen to go on by
            a step: a large network on a CPU is slow, not hung. But all in all no longer than this.
        dump_s: between asking a hung worker for its stacks and killing it.
        restart_pauses_s: before the first, second, ... start after deaths in a row; the last goes
            for all further ones. At once first: a single death should cost the loading only.
        deaths_at_most: so many within ``deaths_window_s``, or so many in a row without one
            finished batch, park a slot.
        deaths_window_s: see there.
        park_s: how long a slot is left alone; then one trial start.
        task_deaths_at_most: workers that a task may kill in a row, none of its batches finished in
            between, before it is taken for the cause and given up. Two lost batches.
        stop_s: an ordered stop waits for so long before it kills.
    """

    beat_s: float = 0.5
    silent_s: float = 3.0
    load_silent_s: float = 30.0
    load_s: float = 180.0
    prepare_s: float = 60.0
    prepare_patience_s: float = 5.0
    avatar_deaths_at_most: int = 2
    first_batch_s: float = 60.0
    batch_floor_s: float = 3.0
    batch_factor: float = 5.0
    slow_s: float = 1800.0
    dump_s: float = 0.3
    restart_pauses_s: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    deaths_at_most: int = 5
    deaths_window_s: float = 60.0
    park_s: float = 60.0
    task_deaths_at_most: int = 4
    stop_s: float = 1.0
