"""Random changes to a whole batch of pictures that leave the label as it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Mirror, shift, zoom and blank out a square, each picture by its own draw.

    Args:
        mirror: half of the pictures are mirrored left to right. Not for digits, letters or traffic signs.
        shift: up to this share of the width and height, the edge being mirrored into the gap.
        zoom: up to this share is cropped away and the rest enlarged; 0 leaves the scale.
        blank: side of a square that is blanked out, as a share of the width (DeVries and Taylor 2017, Cutout); 0 for
            none.
    """

    mirror: bool = True
    shift: float = 0.125
    zoom: float = 0.0
    blank: float = 0.0

    def __call__(self, pixels: Tensor, generator: torch.Generator, mirrored: Tensor) -> Tensor:
        """(N, 3, S, S) uint8 to the same shape and type.

        The draws come from the CPU generator, so that a seed gives the same draws on every device.

        Args:
            pixels: N pictures.
            generator: of the draws.
            mirrored: (N,) bool, which of them are mirrored, if any are.
        """
        turned = mirrored & self.mirror
        moved = self._zoomed(pixels, turned, generator) if self.zoom else self._shifted(pixels, turned, generator)
        return self._blanked(moved, generator) if self.blank else moved

    def _shifted(self, pixels: Tensor, mirrored: Tensor, generator: torch.Generator) -> Tensor:
        count, _, side, _ = pixels.shape
        reach = min(round(self.shift * side), side - 1)
        offsets = torch.randint(-reach, reach + 1, (2, count, 1), generator=generator)
        rows, columns = _reflected(torch.arange(side) + offsets, side)  # each (N, S)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        rows, columns = rows.to(pixels.device), columns.to(pixels.device)
        picked = torch.arange(count, device=pixels.device)[:, None, None]
        # advanced indices around a slice: (N, S, S, 3), which is channels_last once the channels are moved back
        return pixels[picked, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _zoomed(self, pixels: Tensor, mirrored: Tensor, generator: torch.Generator) -> Tensor:
        count = len(pixels)
        scale = 1 - self.zoom * torch.rand(count, generator=generator)
        sign = 1 - 2 * mirrored.float()
        room = 1 - scale + self.shift
        shift = (2 * torch.rand(count, 2, generator=generator) - 1) * room[:, None]
        theta = torch.zeros(count, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale * sign, scale, shift
        grid = functional.affine_grid(theta.to(pixels.device), list(pixels.shape), align_corners=False)
        moved = functional.grid_sample(pixels.float(), grid, padding_mode="reflection", align_corners=False)
        return moved.round().clamp(0, 255).to(torch.uint8)

    def _blanked(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        count, _, side, _ = pixels.shape
        width = max(1, round(self.blank * side))
        corners = torch.randint(-width // 2, side - width // 2, (2, count, 1), generator=generator)
        places = torch.arange(side)
        rows, columns = (places >= corners) & (places < corners + width)  # each (N, S)
        hole = (rows[:, None, :, None] & columns[:, None, None, :]).to(pixels.device)
        return pixels.masked_fill(hole, 127)


def _reflected(positions: Tensor, side: int) -> Tensor:
    """Positions outside 0 .. side - 1 mirrored at the edge, which is not repeated."""
    inside = positions.abs()
    return torch.where(inside >= side, 2 * (side - 1) - inside, inside)
