"""The task store: what was accepted is on disk before the answer leaves.

It is the contract between the API (which accepts) and the studio (which plays). It must never
block a tick: the playout does not know it.
"""

from __future__ import annotations

from broadcaster.store.channel_avatars import ChannelAvatar, ChannelAvatars, WishState
from broadcaster.store.spool import Incoming, Spool
from broadcaster.store.task import ENDED_STATES, Task, TaskState
from broadcaster.store.tasks import TaskStore

__all__ = [
    "ENDED_STATES",
    "ChannelAvatar",
    "ChannelAvatars",
    "Incoming",
    "Spool",
    "Task",
    "TaskState",
    "TaskStore",
    "WishState",
]
