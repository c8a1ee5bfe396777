"""Drills against a whole station while its presenter speaks; what was said is read from the stream.

    python benchmarks/speaking_drills.py [--only NAME ...] [--runs 20] [--minutes 10]

Every drill prints figures beside their goals; the exit status is 1 when one is missed. Sounds carry
tones that say which task they are and where in it (``spoken_code``), so that "said once, whole, in
order" is measured where viewers are. Everything runs on loopback and is ended by the script.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks import spoken_code
from benchmarks.speaking_judge import judge, judge_ring, judge_stream, missed, row, spans_of
from benchmarks.speaking_station import FPS, LARGE, SMALL, SpeakingStation, speaking_station
from tests.doubles.station import process_tree

SYMBOL_S = spoken_code.SYMBOL_S
SPEECH_S = 6.0
"""Of a task that something is killed in: shorter than the code's period, so that nothing of what
is heard can be mistaken."""

WORKER_PAUSE_S = 16.0
"""Between deaths of a worker: five within a minute park it, which is a drill of its own."""

# --- 1: deaths in mid-sentence -------------------------------------------------------------


def worker_killed(runs: int) -> None:
    with speaking_station() as one:
        free = one.metric("broadcaster_pool_free_pictures")
        tasks, lengths = [], []
        for _ in range(runs):
            begun = time.monotonic()
            tasks.append(_speaking(one, len(tasks)))
            lengths.append(SPEECH_S)
            time.sleep(random.uniform(0.2, 3.0))
            os.kill(one.tree("gpu_pool.worker")[0], signal.SIGKILL)
            one.wait(lambda: one.state(tasks[-1]) == "done", "done", 30)
            one.wait(one.serving, "a worker", 30)
            time.sleep(max(0.0, begun + WORKER_PAUSE_S - time.monotonic()))
        judge(one, "worker killed", tasks, lengths, 30)
        _judge_invisible(one, "worker killed", runs)
        judge_stream(one, "worker killed")
        judge_ring(one, "worker killed", free)


def _judge_invisible(one: SpeakingStation, name: str, runs: int) -> None:
    deaths = one.metric("broadcaster_pool_worker_deaths_total")
    row(f"{name}: deaths counted", int(deaths), f"{runs}", deaths == runs)
    lost = sum(
        float(line.split()[-1])
        for line in one.get("/metrics")[1].decode().splitlines()
        if line.startswith('broadcaster_pool_batches_total{outcome="lost"}')
    )
    row(f"{name}: batches shown as idle", int(lost), "0", lost == 0)
    dry = one.metric("broadcaster_underruns_total")
    row(f"{name}: underruns", int(dry), "0", dry == 0)
    count, still = spoken_code.still_pictures(one.sessions()[-1], spans_of(one))
    row(f"{name}: frozen pictures of {count} in speech", still, "0", still == 0)


def worker_parked(_runs: int) -> None:
    """Killed until it is left alone: the task on air goes on over idle, the next ones too."""
    with speaking_station() as one:
        lengths = [8.0, 2.0]
        tasks = [_speaking(one, 0, lengths[0])]
        tasks.append(one.say(spoken_code.wav(1, lengths[1])))
        parked, begun = False, time.monotonic()
        while not parked and time.monotonic() - begun < 30:
            with suppress(IndexError, ProcessLookupError):
                os.kill(one.tree("gpu_pool.worker")[0], signal.SIGKILL)
            time.sleep(0.2)
            parked = one.things("worker/")[0]["state"] == "parked"
        row("worker parked: after, s", time.monotonic() - begun, "", parked)
        one.wait_ended(tasks, 25)
        row("worker parked: both said after, s", time.monotonic() - begun, "<= 25",
            time.monotonic() - begun <= 25)  # fmt: skip
        judge(one, "worker parked", tasks, lengths, 60)
        judge_stream(one, "worker parked")


def _speaking(one: SpeakingStation, number: int, seconds: float = SPEECH_S) -> str:
    """A task that is on air."""
    task = one.say(spoken_code.wav(number, seconds))
    one.wait(lambda: one.state(task) == "on_air", "on air", 30)
    return task


def role_killed(role: str, runs: int) -> None:
    name = f"{role} killed"
    studio, back_s = role == "studio", []
    with speaking_station(LARGE if studio else SMALL) as one:
        tasks = []
        for number in range(runs):
            tasks.append(_speaking(one, number))
            time.sleep(random.uniform(0.1, SPEECH_S - 1.5))
            pid, before = one.pid(role), one.workers_readied()
            os.killpg(pid, signal.SIGKILL) if role == "api" else os.kill(pid, signal.SIGKILL)
            if studio:
                new = lambda before=before: one.workers_readied() > before  # noqa: E731
                back_s.append(one.wait(new, "a new worker", 30))
            one.wait(lambda task=tasks[-1]: one.state(task) == "done", "done", 60)
            one.wait(one.serving, "a worker", 30)
        playout = role == "playout"
        judge(one, name, tasks, [SPEECH_S] * runs, 60, back_s=1.6 if playout else 0.0)
        longest, *between = one.pauses()
        row(f"{name}: longest silence of the stream, s", longest, "< 0.4", longest < 0.4)
        sessions = len(between) + 1
        if playout:
            row(f"{name}: off air at most, s", max(between), "<= 5", max(between) <= 5)
        else:
            row(f"{name}: sessions", sessions, "1", sessions == 1)
            dry = one.metric("broadcaster_underruns_total")
            row(f"{name}: underruns", int(dry), "0", dry == 0)
        if studio:
            row(f"{name}: worker loaded after, s, median", float(np.median(back_s)), "", True)
            row(f"{name}: worker loaded after, s, at most", max(back_s), "<= 3", max(back_s) <= 3)
        judge_stream(one, name, killed=playout)


def playout_stopped(runs: int) -> None:
    """Longer than the studio waits for an answer: it takes the playout for lost, and finds it."""
    name = "playout stopped 1.5 s"
    with speaking_station() as one:
        free = one.metric("broadcaster_pool_free_pictures")
        tasks = []
        for number in range(runs):
            tasks.append(_speaking(one, number))
            time.sleep(random.uniform(0.1, 3.0))
            pid = one.pid("playout")
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1.5)
            os.kill(pid, signal.SIGCONT)
            one.wait(lambda task=tasks[-1]: one.state(task) == "done", "done", 60)
        judge(one, name, tasks, [SPEECH_S] * runs, 60)
        dry = one.metric("broadcaster_underruns_total")
        row(f"{name}: underruns", int(dry), f"<= {runs}", dry <= runs)
        judge_ring(one, name, free)


def everything_killed(runs: int) -> None:
    name = "everything killed"
    with speaking_station() as one:
        tasks = []
        for number in range(runs):
            tasks.append(_speaking(one, number))
            time.sleep(random.uniform(0.1, SPEECH_S - 1.5))
            assert one.process is not None
            one.process.kill()
            one.process.wait(10)
            one.wait(lambda: not process_tree(one.folder), "nothing left", 10)
            one.start()
            one.wait(lambda task=tasks[-1]: one.state(task) == "done", "done", 60)
        judge(one, name, tasks, [SPEECH_S] * runs, 60, back_s=1.6)
        _, *between = one.pauses()
        row(f"{name}: off air at most, s", max(between), "<= 8", max(between) <= 8)
        judge_stream(one, name, killed=True)


# --- 2: many tasks -------------------------------------------------------------------------


def back_to_back(_runs: int, count: int = 200) -> None:
    name = f"{count} tasks"
    with speaking_station(LARGE) as one:
        free = one.metric("broadcaster_pool_free_pictures")
        lengths = [1.0 + SYMBOL_S * (n % 3) for n in range(count)]
        tasks = [one.say(spoken_code.wav(n, s)) for n, s in enumerate(lengths)]
        prints = []
        for quarter in range(1, 5):
            at = tasks[count * quarter // 4 - 3]  # not the last one: in fades more is held
            one.wait(lambda at=at: one.state(at) == "done", "a quarter", 280)
            prints.append(one.footprint())
            steps = " ".join(f"{each.anonymous_mb['playout']:.1f}" for each in prints)
            print(f"   playout at quarters, MB: {steps}", flush=True)
        begin, end = prints[0], prints[-1]
        for role, megabytes in end.anonymous_mb.items():
            grown = megabytes - begin.anonymous_mb[role]
            row(f"{name}: {role} grew from {begin.anonymous_mb[role]:.1f} MB by, MB", grown,
                "<= 3", grown <= 3)  # fmt: skip
            more = end.descriptors[role] - begin.descriptors[role]
            row(f"{name}: {role} descriptors more", more, "<= 2", more <= 2)
        row(f"{name}: /dev/shm files, MB", f"{end.shared_files}, {end.shared_mb:.0f}",
            f"{begin.shared_files}, {begin.shared_mb:.0f}",
            (end.shared_files, end.shared_mb) == (begin.shared_files, begin.shared_mb))  # fmt: skip
        judge(one, name, tasks, lengths, 60)
        skew = abs(one.metric("broadcaster_av_skew_seconds")) * 1000
        row(f"{name}: sound and picture apart at the end, ms", skew, "<= 20", skew <= 20)
        dry = one.metric("broadcaster_underruns_total")
        row(f"{name}: underruns", int(dry), "0", dry == 0)
        judge_stream(one, name)
        judge_ring(one, name, free)


def at_once(_runs: int, clients: int = 10, each: int = 5) -> None:
    name = f"{clients * each} tasks from {clients} clients"
    with speaking_station() as one:
        accepted: list[tuple[float, int, str]] = []
        wavs = [spoken_code.wav(n, 1.0) for n in range(clients * each)]

        def client(number: int) -> None:
            for index in range(each):
                code = number * each + index
                accepted.append((0.0, code, one.say(wavs[code])))

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = {task: code for _, code, task in accepted}
        stored = one.ask("GET", f"/tasks?limit={clients * each}")["tasks"][::-1]
        one.wait_ended([task["task_id"] for task in stored], 120)
        time.sleep(1.5)
        done = sum(one.state(task) == "done" for task in codes)
        row(f"{name}: done", f"{done} of {len(codes)}", "all", done == len(codes) == len(stored))
        wanted = [codes[task["task_id"]] % 12 for task in stored]
        heard = [h.task for h in one.heard()[-1]]
        order = [task for task, before in zip(heard, [-1, *heard], strict=False) if task != before]
        collapsed = [w for w, before in zip(wanted, [-1, *wanted], strict=False) if w != before]
        row(f"{name}: heard in the order of acceptance", order == collapsed, "True",
            order == collapsed)  # fmt: skip
        firsts = sum(h.place == 0 for h in one.heard()[-1])
        row(f"{name}: beginnings heard", firsts, str(len(codes)), firsts == len(codes))
        for number in range(clients):
            mine = [codes[task["task_id"]] for task in stored]
            mine = [code for code in mine if code // each == number]
            if mine != sorted(mine):
                row(f"{name}: client {number}'s order", str(mine), "sorted", False)
        judge_stream(one, name)


# --- 3: a long one -------------------------------------------------------------------------


def long_sound(minutes: float) -> None:
    name = f"{minutes:g} minutes"
    with speaking_station(LARGE) as one:
        seconds = minutes * 60
        task = _speaking(one, 0, seconds)
        time.sleep(min(30, seconds / 4))
        prints = []
        for part in range(1, 9):
            upto = min(seconds * part / 8, seconds - 5)
            one.wait(lambda upto=upto: one.task(task)["played_s"] >= upto, "so much", seconds)
            prints.append(one.footprint())
        begin, end = prints[3], prints[-1]  # what is set up once is there by then
        steps = " ".join(f"{each.anonymous_mb['playout']:.1f}" for each in prints)
        print(f"   playout at eighths, MB: {steps}", flush=True)
        for role, megabytes in end.anonymous_mb.items():
            grown = megabytes - begin.anonymous_mb[role]
            row(f"{name}: {role} grew from {begin.anonymous_mb[role]:.1f} MB by, MB", grown,
                "<= 3", grown <= 3)  # fmt: skip
        judge(one, name, [task], [seconds], 60)
        dry = one.metric("broadcaster_underruns_total")
        row(f"{name}: underruns", int(dry), "0", dry == 0)
        judge_stream(one, name)


# --- 4: interrupts -------------------------------------------------------------------------


def interrupts(_runs: int, count: int = 30) -> None:
    name = f"interrupts among {count} tasks"
    with speaking_station() as one:
        free = one.metric("broadcaster_pool_free_pictures")
        tasks = [one.say(spoken_code.wav(n, 3.0)) for n in range(count)]
        named: list[str] = []
        while one.state(tasks[-1]) not in {"done", "cancelled"}:
            time.sleep(random.choice([0.05, 0.3, 1.0, 2.0, 3.1]))
            answer = one.ask("POST", "/interrupt")
            if answer["http_status"] == 200 and answer["task_id"]:
                named.append(answer["task_id"])
        found = [one.task(task) for task in tasks]
        cancelled = [each["task_id"] for each in found if each["state"] == "cancelled"]
        ended = sum(each["state"] in {"done", "cancelled"} for each in found)
        row(f"{name}: ended", f"{ended} of {count}", "all", ended == count)
        row(f"{name}: answers that name a task", len(set(named)), "", True)
        wrong = set(cancelled) ^ {task for task in named if one.state(task) != "done"}
        row(f"{name}: cancelled but never named, or the reverse", len(wrong), "0", not wrong)
        named_done = sum(one.state(task) == "done" for task in set(named))
        row(f"{name}: named, but done", named_done, "0", named_done == 0)
        reasons = {each["reason"] for each in found if each["state"] == "cancelled"}
        row(f"{name}: reasons", ",".join(sorted(map(str, reasons))), "interrupted",
            reasons <= {"interrupted"})  # fmt: skip
        judge_stream(one, name)
        judge_ring(one, name, free)


# --- 5: a dry ring -------------------------------------------------------------------------


def dry_ring(_runs: int) -> None:
    """The worker stands still for longer than the ring lasts, but not so long that it is judged."""
    name = "worker stopped 2.9 s"
    with speaking_station() as one:
        task = _speaking(one, 0, 8.0)
        time.sleep(1.0)
        worker = one.tree("gpu_pool.worker")[0]
        os.kill(worker, signal.SIGSTOP)
        time.sleep(2.9)
        os.kill(worker, signal.SIGCONT)
        judge(one, name, [task], [8.0], 30)
        dry = one.metric("broadcaster_underruns_total")
        row(f"{name}: underruns", int(dry), "1", dry == 1)
        sound = spoken_code.sound_of(one.sessions()[-1])
        loud = np.flatnonzero(np.abs(sound) > 0.01)
        pauses = np.diff(loud)
        parts = int((pauses > spoken_code.RATE // 10).sum()) + 1
        row(f"{name}: contiguous parts of the sound", parts, "2", parts == 2)
        inside = loud[-1] - loud[0] + 1 - pauses[pauses > spoken_code.RATE // 10].sum()
        off = inside - round(8.0 * spoken_code.RATE)
        row(f"{name}: samples too many or too few", int(off), "+- 1000 (AAC's edges)",
            abs(off) < 1000)  # fmt: skip
        pause_s = float(pauses.max() / spoken_code.RATE)
        row(f"{name}: paused for, s", pause_s, "", True)
        spans = spans_of(one)
        count, still = spoken_code.still_pictures(one.sessions()[-1], [(spans[0][0], spans[-1][1])])
        most = round(0.2 * FPS)
        row(f"{name}: frozen pictures of {count}", still, f"<= {most}", still <= most)
        judge_stream(one, name)


DRILLS: dict[str, Callable[[int], None]] = {
    "worker-killed": worker_killed,
    "worker-parked": worker_parked,
    "studio-killed": lambda runs: role_killed("studio", runs),
    "api-killed": lambda runs: role_killed("api", runs),
    "playout-killed": lambda runs: role_killed("playout", runs),
    "playout-stopped": playout_stopped,
    "everything-killed": everything_killed,
    "back-to-back": back_to_back,
    "at-once": at_once,
    "interrupts": interrupts,
    "dry-ring": dry_ring,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long sound")
    names = [*DRILLS, "long"]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    for name in options.only:
        if name == "long":
            long_sound(options.minutes)
        else:
            DRILLS[name](options.runs)
    for title in missed:
        print(f"missed: {title}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
