"""Tick arithmetic: deadlines of ticks and the IDR grid. Pure: ``now`` is always an argument."""
