"""What every speaking drill asks in the end, and how it is shown: a figure beside its goal."""

from __future__ import annotations

import time
from contextlib import suppress

from benchmarks import spoken_code
from benchmarks.speaking_station import SpeakingStation
from benchmarks.spoken_code import SYMBOL_S

missed: list[str] = []


def row(title: str, figure: object, goal: str, good: bool) -> None:
    """One line of the result."""
    shown = f"{figure:.2f}" if isinstance(figure, float) else str(figure)
    print(f"{title:66s} {shown:>22s}   {goal:22s}{'' if good else 'MISSED'}", flush=True)
    if not good:
        missed.append(title)


def judge(
    one: SpeakingStation,
    name: str,
    tasks: list[str],
    seconds: list[float],
    timeout_s: float,
    back_s: float = 0.0,
) -> spoken_code.Account:
    """Tasks that must all be done, heard whole, once and in this order."""
    states = one.wait_ended(tasks, timeout_s)
    time.sleep(1.5)  # the last sound is on its way
    symbols = [round(length / SYMBOL_S) for length in seconds]
    heard = spoken_code.account(one.heard(), symbols)
    done = states.count("done")
    row(f"{name}: tasks done", f"{done} of {len(tasks)}", "all", done == len(tasks))
    in_order = heard.order == list(range(len(tasks)))
    row(f"{name}: heard in order, each once", in_order and not heard.strayed, "True", in_order)
    gone = sum(len(each) for each in heard.missing.values())
    row(f"{name}: fifths of a second never heard", gone, "0", gone == 0)
    worst = max(heard.again, default=0.0)
    row(f"{name}: furthest step back, s", worst, f"<= {back_s:g}", worst <= back_s)
    again = len(heard.restarted)
    row(f"{name}: begun again from the start", again, "0", again == 0)
    if gone or not in_order or heard.strayed or again:
        print(f"   missing {heard.missing} restarted {heard.restarted} strayed {heard.strayed}")
        print(f"   order {heard.order}")
        left = [task for task, state in zip(tasks, states, strict=True) if state != "done"]
        print("  ", [one.task(task) for task in left[:4]])
    return heard


def judge_stream(one: SpeakingStation, name: str, killed: bool = False) -> None:
    found = one.stream_faults(killed)
    row(f"{name}: faults of the stream's timestamps", len(found), "0", not found)
    for fault in found[:5]:
        print(f"   {fault}")


def judge_ring(one: SpeakingStation, name: str, before: float) -> None:
    with suppress(TimeoutError):
        one.wait(lambda: one.metric("broadcaster_pool_free_pictures") == before, "ring", 5)
    free = one.metric("broadcaster_pool_free_pictures")
    row(f"{name}: pictures of the ring that came back", f"{free:g} of {before:g}", "all",
        free == before)  # fmt: skip


def spans_of(one: SpeakingStation) -> list[tuple[float, float]]:
    """Stretches of unbroken speech in the last session, in its seconds."""
    found: list[tuple[float, float]] = []
    for each in one.heard()[-1]:
        end = each.at_s + each.lasted_s
        if found and each.at_s - found[-1][1] < SYMBOL_S:
            found[-1] = (found[-1][0], end)
        else:
            found.append((each.at_s, end))
    return found
