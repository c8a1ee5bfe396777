"""Idle media: loops encoded once, kept as packets, and looked up by tick.

Preparing runs in a child of its own; playout only maps finished loops. A loop that is not ready
is never waited for.
"""
