"""Where the one face of a picture is: box, landmarks, handles. For avatars, at import time.

Never in the signal path of a broadcast: what is found here is stored with the avatar.
"""

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.face.values import Face, Handles, handles_from_json

__all__ = ["AvatarRefused", "Face", "Handles", "handles_from_json"]
