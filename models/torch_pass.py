"""Patches through any network, with a decoder of any precision, in calls of torch."""

import torch

from models.autoencoder import Network
from models.cpu import Bits
from models.drawing import Drawing
from models.scores import Float32s, Precision


def in_one_thread() -> None:
    """A frame's work is too little for torch to share it out; said by each thread that has frames of its own."""
    torch.set_num_threads(1)


class TorchPass:
    """A `models.cpu.Pass`."""

    def __init__(self, network: Network, precision: Precision, most: int) -> None:
        """At most *most* frames at a time. *network*'s code is whitened."""
        self.grid, self.patch_px = network.grid, network.stride
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._draw = Drawing(self._network, precision, most)
        self.center = self._draw.center

    @torch.inference_mode()
    def __call__(self, patches: Float32s) -> tuple[Float32s, Bits]:
        """As of `Pass`."""
        q = self._network.to_latent(self._network.features(torch.from_numpy(patches)))  # (n, p), whitened
        latent: Float32s = q.numpy()
        return latent, self._draw(q)
