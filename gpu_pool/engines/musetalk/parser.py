"""The face parser MuseTalk asks which pixels are skin, lips, nose: BiSeNet, 19 CelebAMask classes.

Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation" (2018),
with ResNet-18's features in place of the spatial path, as in the published parser. Runs once per
picture of an avatar, never on air. Parameter names are those of ``79999_iter.pth``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from gpu_pool.engines.musetalk.blend import LABELS_SIZE

CLASSES = 19
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class ConvBnRelu(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        return fn.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """ResNet-18's block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(fn.relu(self.bn1(self.conv1(x)))))
        return fn.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """Features at an eighth, a sixteenth and a thirty-second of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for i, (before, width) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
            blocks = BasicBlock(before, width, 1 if i == 1 else 2), BasicBlock(width, width, 1)
            self.add_module(f"layer{i}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W)."""
        x = fn.max_pool2d(fn.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Refinement(nn.Module):
    """Channels are weighed by what the whole picture says."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBnRelu(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H, W)."""
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(_whole(x))))


class ContextPath(nn.Module):
    """What the picture shows, coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = Refinement(256, 128)
        self.arm32 = Refinement(512, 128)
        self.conv_head32 = ConvBnRelu(128, 128)
        self.conv_head16 = ConvBnRelu(128, 128)
        self.conv_avg = ConvBnRelu(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to (N, 128, H / 8, W / 8), twice: plain features and context."""
        eighth, sixteenth, coarse = self.resnet(x)
        seen = self.arm32(coarse) + self.conv_avg(_whole(coarse))
        seen = self.conv_head32(fn.interpolate(seen, sixteenth.shape[2:]))
        seen = self.arm16(sixteenth) + seen
        return eighth, self.conv_head16(fn.interpolate(seen, eighth.shape[2:]))


class Fusion(nn.Module):
    """Features and context as one."""

    def __init__(self) -> None:
        super().__init__()
        self.convblk = ConvBnRelu(256, 256, 1)
        self.conv1 = nn.Conv2d(256, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """(N, 128, H, W) each to (N, 256, H, W)."""
        x = self.convblk(torch.cat([features, context], dim=1))
        weight = torch.sigmoid(self.conv2(fn.relu(self.conv1(_whole(x)))))
        return x + x * weight


class Output(nn.Module):
    """Scores of the classes."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        self.conv = ConvBnRelu(inputs, inner)
        self.conv_out = nn.Conv2d(inner, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 19, H, W)."""
        return self.conv_out(self.conv(x))


class FaceParser(nn.Module):
    """See the module. ``conv_out16`` and ``conv_out32`` served training; they are never run."""

    def __init__(self) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = Fusion()
        self.conv_out = Output(256, 256)
        self.conv_out16 = Output(128, 64)
        self.conv_out32 = Output(128, 64)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), normalised, to scores (N, 19, H, W)."""
        scores = self.conv_out(self.ffm(*self.cp(x)))
        return fn.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=True)

    def labels(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of every pixel: (512, 512) ``uint8`` from RGB of that size."""
        normal = normalised(rgb)[None].to(next(self.parameters()))
        assert normal.shape[2:] == (LABELS_SIZE, LABELS_SIZE), "the parser sees 512 x 512"
        best = self(normal)[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        return np.asarray(best, np.uint8)


def normalised(rgb: NDArray[np.uint8]) -> Tensor:
    """RGB bytes (rows, columns, 3) as the network was trained on: (3, rows, columns)."""
    scaled = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255.0
    mean, spread = (torch.tensor(each).view(3, 1, 1) for each in (_MEAN, _SPREAD))
    return (scaled - mean) / spread


def _whole(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3), keepdim=True)
