"""The network as it computes answers: the same function as the trained one, laid out for speed.

What was measured, and why it is plain torch in single precision: docs/adr/0007.
"""

from __future__ import annotations

import copy

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.tjnet.network import TJNet


def prepare(network: TJNet, device: torch.device) -> TJNet:
    """Return a copy of a trained network that only answers, and does so faster.

    Every batch norm is folded into the convolution before it, which the heatmap's way back gains
    from too, and the kernels lie channels-last. Done once a process, in a few milliseconds. The
    bone age stays the same within 0.001 months.

    Parameters
    ----------
    network : TJNet
        With its trained weights; it is left as it is.
    device : torch.device
        Where the copy computes.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
    _fold(prepared)
    return _channels_last(prepared.to(device))


def _fold(module: nn.Module) -> None:
    """Fold the batch norms below a module into their convolutions."""
    for child in module.children():
        if isinstance(child, Convolution):
            conv, norm = child.get_submodule("conv"), child.get_submodule("adn.N")
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                child.add_module("conv", fuse_conv_bn_eval(conv, norm))
                child.get_submodule("adn").add_module("N", nn.Identity())
        else:
            _fold(child)


def _channels_last(network: TJNet) -> TJNet:
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@torch.no_grad()
def batched_logits(network: nn.Module, inputs: Tensor, sex: Tensor, batch_size: int = 64) -> Tensor:
    """Return the logits of many inputs, a batch at a time: the way of evaluation and of a GPU.

    Parameters
    ----------
    network : Module
        Trained or prepared, in evaluation mode; its ``forward(x, sex)`` returns (B, 79).
    inputs : Tensor
        (N, S, S) bytes of `models.tjnet.preprocess.to_input`, on the network's device.
    sex : Tensor
        (N,) indices into `models.tjnet.network.SEX_INPUTS`.
    batch_size : int
        Inputs at a time.

    Returns
    -------
    Tensor
        (N, 79).
    """
    parts = []
    for start in range(0, len(inputs), batch_size):
        rows = slice(start, start + batch_size)
        x = inputs[rows, None].float() / 255.0
        x = x.contiguous(memory_format=torch.channels_last)
        parts.append(network(x, sex[rows]))
    return torch.cat(parts)
