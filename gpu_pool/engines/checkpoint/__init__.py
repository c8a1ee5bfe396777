"""The users' own files of weights, read safely and strictly; no framework is needed for it.

Inside a worker when it loads, and behind ``broadcaster models check``. A checkpoint comes from
wherever the user found it, so it is treated as hostile: nothing in it is executed (``pickled``),
every description is checked against the bytes (``stored``), and a file that is not exactly one of
the known networks is refused by name (``variants``).

torch's own ``torch.load(weights_only=True)`` is not used: it refuses TorchScript, which published
Wav2Lip files are, reads optimiser states nobody needs, and would tie the check to torch.
"""

from gpu_pool.engines.checkpoint.checkpoint import Checkpoint, open_checkpoint
from gpu_pool.engines.checkpoint.refusal import CheckpointRefused
from gpu_pool.engines.checkpoint.variants import VARIANTS, Layout, Variant, identify, layout

__all__ = [
    "VARIANTS",
    "Checkpoint",
    "CheckpointRefused",
    "Layout",
    "Variant",
    "identify",
    "layout",
    "open_checkpoint",
]
