"""Augmentation of a whole batch on its device. Shapes: B batch, C channels, H height, W width."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Augment(nn.Module):
    """Random flip, shift and cutout, drawn for each image; the identity in eval mode.

    Draws from torch's global generator of the batch's device. What comes from beyond the border
    and what is cut out is 0, the mean of normalised images. Keeps dtype and memory format.

    Args:
        flip: mirror left and right with probability 1/2.
        crop: pad by this many pixels on every side and cut an image of the old size out of it.
        cutout: blank a square of this many pixels a side around a random pixel (DeVries & Taylor
            2017, https://arxiv.org/abs/1708.04552); what sticks out over the border is lost.

    Shape:
        (B, C, H, W) in and out.

    Raises:
        ValueError: a negative number of pixels.
    """

    def __init__(self, *, flip: bool = False, crop: int = 0, cutout: int = 0) -> None:
        super().__init__()
        if min(crop, cutout) < 0:
            raise ValueError(f"crop and cutout are pixels, at least 0, not {crop} and {cutout}")
        self.flip, self.crop, self.cutout = flip, crop, cutout

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        if self.flip or self.crop:
            images = self._move(images)
        return self._cut(images) if self.cutout else images

    def _move(self, images: Tensor) -> Tensor:
        """Flip and shift at once: choose for every image its rows and columns of the padded one."""
        batch, channels, height, width = images.shape
        rows, columns = self._span(images, height), self._span(images, width)
        if self.flip:
            mirrored = torch.rand(batch, 1, device=images.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        which = torch.arange(batch, device=images.device)[:, None, None]
        padded = F.pad(images, (self.crop,) * 4)
        if images.is_contiguous():
            every = torch.arange(channels, device=images.device)[:, None, None]
            return padded[which[..., None], every, rows[:, None, :, None], columns[:, None, None]]
        # (B, H, W, C) with the channels in one piece is channels_last
        moved = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    def _span(self, images: Tensor, length: int) -> Tensor:
        """Indices (B, ``length``) along one padded axis."""
        shift = torch.randint(2 * self.crop + 1, (len(images), 1), device=images.device)
        return shift + torch.arange(length, device=images.device)

    def _cut(self, images: Tensor) -> Tensor:
        hidden_rows = self._hidden(images, images.shape[2])[:, None, :, None]
        hidden_columns = self._hidden(images, images.shape[3])[:, None, None, :]
        # not masked_fill, which would make channels_last contiguous
        return torch.where(hidden_rows & hidden_columns, 0, images)

    def _hidden(self, images: Tensor, length: int) -> Tensor:
        """Which pixels (B, ``length``) of one axis the square covers."""
        centre = torch.randint(length, (len(images), 1), device=images.device)
        offset = torch.arange(length, device=images.device) - centre + self.cutout // 2
        return (offset >= 0) & (offset < self.cutout)
