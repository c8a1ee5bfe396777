"""What is on air at a tick: idle, a fade, a task. Pure logic on ticks, pictures and samples.

The mixer never waits: a source that is not ready answers None, and idle is used.
"""
