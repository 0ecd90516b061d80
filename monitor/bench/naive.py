"""What one would write first, to be measured against: receive, `torch.from_numpy`, an eager network, in one loop.

`python -m monitor.bench.naive` answers a `NaiveOrder` with how many frames a second pass through it while it never
waits for one: more than it would hold of a camera that does not wait.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import json
import sys
import time
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
import zmq
from torch import Tensor, nn

from monitor.bench.alone import NaiveOrder, NaiveRow, Passed
from monitor.bench.children import BenchError, serve

DOWN: Final = 16
CHANNELS: Final = (1, 16, 32, 64, 128)
RECEIVE_MS: Final = 20_000
WAITING_MESSAGES: Final = 16


class Naive(nn.Module):
    """An autoencoder: stride-2 convolutions down, nearest upsampling and convolutions up. Sides are multiples of 16."""

    def __init__(self, height: int, width: int, latent: int = 32) -> None:
        super().__init__()
        steps = list(pairwise(CHANNELS))
        self.grid = (height // DOWN, width // DOWN)
        flat = CHANNELS[-1] * self.grid[0] * self.grid[1]
        self.down = nn.Sequential(*(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()) for a, b in steps))
        self.to_latent = nn.Linear(flat, latent)
        self.from_latent = nn.Linear(latent, flat)
        self.up = nn.Sequential(
            *(
                nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(b, a, 3, 1, 1), nn.ReLU())
                for a, b in reversed(steps)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        z = self.to_latent(self.down(x).flatten(1))  # (B, 1, H, W) -> (B, latent)
        drawn: Tensor = self.up(self.from_latent(z).view(-1, CHANNELS[-1], *self.grid))
        return drawn


class Loop:
    """The whole of the naive monitor."""

    def __init__(self, socket: "zmq.Socket[bytes]", height: int, width: int) -> None:
        self._socket = socket
        self._padding = (0, -width % DOWN, 0, -height % DOWN)
        self._network = Naive(height - height % -DOWN, width - width % -DOWN).eval()

    @torch.inference_mode()
    def turn(self, batch: int) -> Tensor:
        """Receive *batch* frames and score them: the variance of each one's residual."""
        frames = np.stack([self._receive() for _ in range(batch)]).astype(np.float32)
        x = F.pad(torch.from_numpy(frames).unsqueeze(1) / 255, self._padding)
        residual = x - self._network(x)
        variance: Tensor = residual.var(dim=(1, 2, 3))
        return variance

    def _receive(self) -> np.ndarray[Any, Any]:
        _, header, pixels = self._socket.recv_multipart()
        while not pixels:  # a keep-alive
            _, header, pixels = self._socket.recv_multipart()
        told = json.loads(header)
        return np.frombuffer(pixels, told["dtype"]).reshape(told["shape"][-2:])


def measure(order: NaiveOrder) -> Passed:
    """Each batch size in turn."""
    torch.set_num_threads(order.threads)
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.setsockopt(zmq.RCVTIMEO, RECEIVE_MS)
        socket.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(order.endpoint)
        loop = Loop(socket, order.height, order.width)
        try:
            return Passed([NaiveRow(batch, _rate(loop, batch, order.seconds)) for batch in order.batches])
        except zmq.Again:
            raise BenchError(f"no frame came to the naive loop for {RECEIVE_MS // 1000} s") from None


def _rate(loop: Loop, batch: int, seconds: float) -> float:
    loop.turn(batch)
    begun, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < seconds:
        loop.turn(batch)
        done += batch
    return done / elapsed


if __name__ == "__main__":
    sys.exit(serve(NaiveOrder, measure))
