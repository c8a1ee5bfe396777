"""The drawn presenter: a picture for any tick and any mouth, from a baked atlas.

After the sound-to-mouth network, before the picture ring. It needs numpy and OpenCV only; it must
never import ``broadcaster``, ``idle_media`` or a deep-learning framework.
"""

from gpu_pool.engines.presenter.presenter import Presenter
from gpu_pool.engines.presenter.values import REST, STILL, AtlasError, Gesture, Mouth

__all__ = ["REST", "STILL", "AtlasError", "Gesture", "Mouth", "Presenter"]
