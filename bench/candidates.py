"""Ways to compute block 4's maps on a CPU, for bench.inference to compare.

ONNX Runtime and OpenVINO are no dependencies of the project; where they are installed (``pip
install onnx onnxruntime openvino``), they take part.
"""

from __future__ import annotations

import copy
import io
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from models.tjnet.backend import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.tjnet.network import TJNet

    Maps: TypeAlias = Callable[[Tensor], Tensor]

CPU = torch.device("cpu")
CHOSEN = "folded, channels-last"
"""What models.tjnet.backend does."""


class MapsOnly(nn.Module):
    """The network up to block 4, as an exporter wants it."""

    def __init__(self, network: TJNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return block 4's maps."""
        return self.network.maps(x)


def candidates(network: TJNet, x: Tensor, threads: int) -> dict[str, Maps]:
    """Return each way that can be taken here, by name; the first is the network as trained.

    Parameters
    ----------
    network : TJNet
        In evaluation mode.
    x : Tensor
        (1, 1, S, S), an example of the input.
    threads : int
        For the runtimes that take it as an option.
    """
    found = {"torch eager": network.maps, **_plain(network), **_torchscript(network, x)}
    if find_spec("onnxruntime") and find_spec("onnx"):
        found["ONNX Runtime"] = _onnx_runtime(network, x, threads)
    if find_spec("openvino"):
        found["OpenVINO fp32"] = _openvino(network, x, "f32", threads)
        found["OpenVINO bf16"] = _openvino(network, x, "bf16", threads)
    return found


def _plain(network: TJNet) -> dict[str, Maps]:
    channels_last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folded = prepare(network, CPU).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    half = prepare(network, CPU).to(torch.bfloat16)
    return {
        "channels-last": channels_last.maps,
        "folded": folded.maps,
        CHOSEN: prepare(network, CPU).maps,
        f"{CHOSEN}, bf16": lambda x: half.maps(x.bfloat16()).float(),
    }


def _torchscript(network: TJNet, x: Tensor) -> dict[str, Maps]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is on its way out
        traced = torch.jit.trace(MapsOnly(prepare(network, CPU)).eval(), x)
        plain = torch.jit.trace(MapsOnly(network).eval(), x)
        return {
            f"{CHOSEN}, torch.jit.freeze": torch.jit.freeze(traced),
            "torch.jit.optimize_for_inference": torch.jit.optimize_for_inference(
                torch.jit.freeze(plain)
            ),
        }


def _onnx_runtime(network: TJNet, x: Tensor, threads: int) -> Maps:
    import onnxruntime  # noqa: PLC0415 - optional

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the other exporter wants onnxscript
        torch.onnx.export(MapsOnly(network).eval(), (x,), file, dynamo=False, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def _openvino(network: TJNet, x: Tensor, precision: str, threads: int) -> Maps:
    import openvino  # noqa: PLC0415 - optional

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it traces
        converted = openvino.convert_model(
            MapsOnly(network).eval(), example_input=x, input=list(x.shape)
        )
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(converted, "CPU", options)
    return lambda x: torch.from_numpy(compiled([x.numpy()])[0].copy())
