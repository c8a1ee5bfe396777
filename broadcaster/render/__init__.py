"""``broadcaster render``: what a task would be on air, as a file, as fast as the machine can.

Beside the signal path, from the same parts: the studio's preparation and batches, the pool, the
playout's task and mixer, the codec room's encoders. Only the clock is missing: a tick waits until
its picture is there. Nothing on air imports it.
"""
