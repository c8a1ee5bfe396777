"""The IDR grid: where live pictures may begin and where idle packets may take over again."""

from __future__ import annotations


def on_grid(tick: int, gop_ticks: int) -> bool:
    """True where every mode sends an IDR."""
    return tick % gop_ticks == 0


def gop_start(tick: int, gop_ticks: int) -> int:
    """The grid tick at or before ``tick``: where a decoder must begin to show it."""
    return tick - tick % gop_ticks


def next_grid(tick: int, gop_ticks: int) -> int:
    """The first grid tick at or after ``tick``."""
    return -(-tick // gop_ticks) * gop_ticks


def live_start(earliest: int, gop_ticks: int) -> int:
    """The first tick >= ``earliest`` where a live encoder (its first picture is an IDR) may begin.

    Two adjacent IDR pictures must not carry the same idr_pic_id (ITU-T H.264, 7.4.3), and a fresh
    encoder always begins with 0: so not directly after a grid IDR, and not directly before one.
    """
    phase = earliest % gop_ticks
    return earliest + 1 if phase in (1, gop_ticks - 1) else earliest
