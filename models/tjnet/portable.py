"""The network as a MONAI bundle carries it: it runs beside network.py and preprocess.py alone.

`models.tjnet.bundle` copies the three files, so the imports are relative and nothing else of the
project is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .network import AGE_CLASSES, SEX_INPUTS, TJNet, expected_months
from .preprocess import to_input

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PortableTJNet", "predict"]


class PortableTJNet(TJNet):
    """A TJ-Net whose recorded sex may be left out, as tools that know one input need it.

    Without it the network gets its third, trained input, "unknown": never one of the two sexes.
    """

    def forward(self, image: Tensor, sex: Tensor | None = None) -> Tensor:
        """Return (B, 79) logits.

        Parameters
        ----------
        image : Tensor
            (B, 1, S, S) in [0, 1].
        sex : Tensor, optional
            (B,) 0 male, 1 female, 2 unknown.
        """
        if sex is None:
            sex = torch.full((image.shape[0],), 2, device=image.device)
        return self.heads(self.maps(image), sex)


@torch.no_grad()
def predict(
    network: PortableTJNet, checkpoint: str | Path, picture: str | Path, sex: str = "unknown"
) -> dict[str, float | str]:
    """Return what the network says of a picture: no gate, no interval, no correction.

    Parameters
    ----------
    network : PortableTJNet
        On any device.
    checkpoint : str or Path
        Its weights, models/model.pt.
    picture : str or Path
        PNG, JPEG, WebP or TIFF of one hand, bone bright.
    sex : str
        "M", "F" or "unknown".
    """
    device = next(network.parameters()).device
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    network.load_state_dict(state)
    network.eval()
    with Image.open(picture) as image:
        deep = image.mode.startswith("I") or image.mode == "F"
        pixels = np.asarray(image if deep else image.convert("L"))
    levels = to_input(pixels, network.config.input_size_px)
    x = torch.from_numpy(levels)[None, None].to(device).float() / 255.0
    logits = network(x, torch.tensor([SEX_INPUTS.index(sex)], device=device))
    seen = logits[0, AGE_CLASSES:].softmax(dim=0)
    return {
        "bone_age_months": round(expected_months(logits)[0].item(), 2),
        "recorded_sex": sex,
        "sex_seen": SEX_INPUTS[int(seen.argmax())],
        "sex_probability": round(seen.max().item(), 3),
    }
