"""Drawn faces into the ring's pictures, on the network's device or on the host.

Behind the network of every neural engine. Both ways take the faces as the network left them, start
at once and are finished later, and must give the same picture within one level.
"""

from gpu_pool.engines.pasting.laid import Laid, laid
from gpu_pool.engines.pasting.on_device import DevicePaste, LaidOut
from gpu_pool.engines.pasting.on_host import HostPaste
from gpu_pool.engines.pasting.sampling import How, Stretch, Warp
from gpu_pool.engines.pasting.started import Finish, Paste
from gpu_pool.engines.pasting.where import check_way, pastes_on

__all__ = [
    "DevicePaste",
    "Finish",
    "HostPaste",
    "How",
    "Laid",
    "LaidOut",
    "Paste",
    "Stretch",
    "Warp",
    "check_way",
    "laid",
    "pastes_on",
]
