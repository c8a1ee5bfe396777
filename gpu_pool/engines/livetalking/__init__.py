"""Avatar folders in LiveTalking's layout (any4dh's and MuseTalk's too), taken over into our own.

At import of an avatar only, in the limited child: whatever lies in such a folder came from a
stranger. Needs no torch.
"""

from gpu_pool.engines.livetalking.bring import Import, engine_of, import_avatar

__all__ = ["Import", "engine_of", "import_avatar"]
