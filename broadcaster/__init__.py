"""Broadcaster: a daemon that keeps a talking presenter on air around the clock."""

__version__ = "0.1.0"
