"""DermiResNet, the paper's image branch (section 3.4.2, figures 4 and 5), up to the last feature map.

Not covered: division by 255 (the caller's), the pooling, which stays outside so that Grad-CAM can read the map, and the
final block of figure 5 (`models.image_head`).

Where text and figures disagree: the text puts a softmax on the 512 features, figure 5 does not; the figure is
followed, because a softmax would squash 512 features into numbers around 0.002. The order inside a residual unit
(convolution, batch normalisation, LeakyReLU) is the text's; figure 5 draws batch normalisation last.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .branch import ImageBranch
from .family import BranchFamily

STAGE_CHANNELS = (64, 128, 256, 512)
NEGATIVE_SLOPE = 0.01


class ConvBlock(nn.Module):
    """Downsampling unit: Conv2D (stride 2), LeakyReLU, Conv2D, BatchNorm2D (figure 5, left)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, Cin, H, W] to float [B, Cout, ceil(H/2), ceil(W/2)]."""
        out: Tensor = self.norm(self.conv2(self.act(self.conv1(x))))
        return out


class ResidualUnit(nn.Module):
    """y = F(x) + alpha * x with a learnable scalar alpha (equation 3)."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE)
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, H, W] to the same shape."""
        residual = self.dropout(self.act(self.norm1(self.conv1(x))))
        residual = self.act(self.norm2(self.conv2(residual)))
        out: Tensor = residual + self.alpha * x
        return out


class DermiResNet(ImageBranch):
    """Convolutional trunk: conv1, then four stages of one ConvBlock and one ResidualUnit.

    Strides of 2 in conv1 and in every stage divide height and width by 32.
    """

    stride = 32

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.channels = STAGE_CHANNELS[-1]
        first = STAGE_CHANNELS[0]
        self.conv1 = nn.Conv2d(3, first, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(first)
        self.act = nn.LeakyReLU(NEGATIVE_SLOPE)
        stages: list[nn.Module] = []
        channels_in = first
        for index, channels in enumerate(STAGE_CHANNELS):
            stages.append(ConvBlock(channels_in, channels))
            stages.append(ResidualUnit(channels, dropout if index >= 2 else 0.0))  # res3 and res4 only
            channels_in = channels
        self.stages = nn.Sequential(*stages)

    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, H, W] in [0, 1] to the last feature map, float [B, 512, ceil(H/32), ceil(W/32)]."""
        out: Tensor = self.stages(self.act(self.norm1(self.conv1(image))))
        return out


class PaperFamily(BranchFamily):
    """The network of the paper, which nobody has pretrained."""

    library = "dermedge"
    any_size = True

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        return ("dermiresnet",)

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class."""
        return DermiResNet(dropout)

    def weight_source(self, name: str) -> None:
        """See the base class."""
