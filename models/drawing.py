"""The decoder as it scores: in float32, or in bfloat16 around what it draws of the in-control mean.

bfloat16 keeps eight binary digits, so rounding errors are a share of what is rounded. Each layer therefore sees only
how far a frame's activations deviate from those of the whitened latent 0, the in-control mean; what the layer makes of
the mean itself was worked out once, in float32, and is added afterwards. That is the same function, with four times
smaller errors (docs/performance.md).
"""

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.autoencoder import Convolutional, Network
from models.compiled.rounding import deviation, next_deviation
from models.scores import Precision

Bits = npt.NDArray[np.unsignedinteger]


class Drawing:
    """Draws patches from whitened latents with *network*, whose code is whitened. For one thread at a time.

    - `center` (a, b, s * s), float32: to be added to what is drawn
    """

    def __init__(self, network: Network, precision: Precision, most: int) -> None:
        """At most *most* frames are drawn at a time."""
        self._network = network
        self._rounded: _Rounded | None = None
        self.center = np.zeros((*network.grid, network.stride**2), np.float32)
        if precision == "bfloat16" and isinstance(network, Convolutional):  # a linear one is a single product
            self._rounded = _Rounded(network, most)
            self.center = self._rounded.center

    def __call__(self, q: Tensor) -> Bits:
        """Patches (n, a, b, s * s) of *q* (n, p), less the center: the bits of float32, or the upper half of them."""
        code = self._network.from_latent(q)
        if self._rounded is not None:
            return self._rounded(code)
        drawn: Bits = self._network.draw(code).contiguous().numpy().view(np.uint32)
        return drawn


class _Rounded:
    """The layers after `from_latent`, in bfloat16."""

    @torch.inference_mode()
    def __init__(self, network: Convolutional, most: int) -> None:
        *stages, (last, _) = network.drawing_layers()
        self._code = network.from_latent.bias.numpy()  # of the latent 0
        self._first = network.sizes[-1]
        self._deviation = torch.empty((most, len(self._code)), dtype=torch.bfloat16)
        self._stages: list[tuple[nn.Module, npt.NDArray[np.float32], Tensor]] = []
        x = network.as_grid(torch.relu(network.from_latent.bias)[None])
        for layer, (rows, columns) in stages:
            x = layer(x)[:, :, :rows, :columns]  # (1, c, a, b)
            center = x[0].permute(1, 2, 0).contiguous().numpy()
            self._stages.append((_linear(layer), center, torch.empty((most, *center.shape), dtype=torch.bfloat16)))
            x = torch.relu(x)
        self._last = _linear(last)
        self.center = last(x)[0].permute(1, 2, 0).contiguous().numpy()

    def __call__(self, code: Tensor) -> Bits:
        x = self._deviation[: len(code)]
        deviation(code.numpy(), self._code, _bits(x))
        x = x.view(len(code), *self._first, -1)
        for layer, center, out in self._stages:
            drawn = layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
            x = out[: len(code)]
            next_deviation(_bits(drawn), center, _bits(x))
        return _bits(self._last(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous())


class TensorDrawing:
    """As `Drawing`, in operations of torch alone, on the network's device: it can be captured as a CUDA graph."""

    @torch.inference_mode()
    def __init__(self, network: Network, precision: Precision) -> None:
        self._network = network
        self._rounded = network if precision == "bfloat16" and isinstance(network, Convolutional) else None
        self.center = torch.zeros((*network.grid, network.stride**2), device=network.to_latent.weight.device)
        if self._rounded is not None:
            self._work_out(self._rounded)

    def _work_out(self, network: Convolutional) -> None:
        """What each layer makes of the mean."""
        *stages, (last, _) = network.drawing_layers()
        x = network.as_grid(torch.relu(network.from_latent.bias)[None])
        self._stages: list[tuple[nn.Module, Tensor, Tensor]] = []
        for layer, (rows, columns) in stages:
            x = layer(x)[:, :, :rows, :columns]  # (1, c, a, b)
            below, above = x.clamp_max(0.0), -x.clamp_min(0.0).to(torch.bfloat16)
            self._stages.append((_linear(layer), below, above))
            x = torch.relu(x)
        self._last = _linear(last)
        self.center = last(x)[0].permute(1, 2, 0).contiguous()

    def __call__(self, q: Tensor) -> Tensor:
        """Patches (n, a, b, s * s) of *q* (n, p), less the center, in the precision that they are drawn in."""
        code = self._network.from_latent(q)
        if self._rounded is None:
            return self._network.draw(code)
        x = (torch.relu(code) - torch.relu(self._network.from_latent.bias)).to(torch.bfloat16)
        x = self._rounded.as_grid(x)
        for layer, below, above in self._stages:
            rows, columns = below.shape[2:]
            drawn = layer(x)[:, :, :rows, :columns]
            # max(c + d, 0) - max(c, 0) = max(d + min(c, 0), -max(c, 0)): added in float32, kept in bfloat16.
            x = torch.empty_like(drawn, memory_format=torch.channels_last)
            torch.maximum(torch.add(drawn, below, out=x), above, out=x)
        patches: Tensor = self._last(x).permute(0, 2, 3, 1)
        return patches


def _linear(layer: nn.Module) -> nn.Module:
    """What *layer* makes of a deviation: itself without biases, in bfloat16."""
    layer = copy.deepcopy(layer)
    for one in layer.modules():
        if isinstance(one, nn.Conv2d | nn.ConvTranspose2d):
            one.bias = None
    return layer.to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's stub lacks it


def _bits(x: Tensor) -> Bits:
    bits: Bits = x.view(torch.uint16).numpy()
    return bits
