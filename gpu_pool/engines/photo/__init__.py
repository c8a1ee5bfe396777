"""Any frontal portrait, a picture or a clip, as a talking avatar: import, store, idle, speak.

After the sound-to-mouth network, before the picture ring. Needs numpy, OpenCV and PyAV; must never
import ``broadcaster`` or a deep-learning framework.
"""

from gpu_pool.engines.photo.body import Body, load
from gpu_pool.engines.photo.create import create_avatar, re_handle
from gpu_pool.engines.photo.folder import AvatarFolder, AvatarSummary, read_avatar

__all__ = [
    "AvatarFolder",
    "AvatarSummary",
    "Body",
    "create_avatar",
    "load",
    "re_handle",
    "read_avatar",
]
