"""Scores on a CUDA device: copied in and scored on two streams, a captured graph a batch, one small copy back."""

import contextlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.autoencoder import Network
from models.preparation import Preparation
from models.scores import Precision, Scores
from models.step import Step
from models.tensors import ChartParameters

SIZES: Final = (8, 32, 128, 512)  # batches that are captured: one of any other size is filled up to the next
PIXELS_MOST: Final = 2**25  # of a captured batch: 128 MiB as float32, and a network takes several times that
WARM_UP: Final = 3  # runs before a capture, in which libraries choose their algorithms and allocate
PORTABLE: Final = 1  # of cudaHostRegister: page-locked for every device

Frames = npt.NDArray[Any]  # (n, h, w) of uint8, uint16 or float32


class Cut(NamedTuple):
    """Frames *first* to *last*, scored as a batch of *size*."""

    first: int
    last: int
    size: int


def sizes_for(pixels: int) -> tuple[int, ...]:
    """The batches that are captured for frames of so many *pixels*, smallest first; at least one."""
    return tuple(size for size in SIZES if size == SIZES[0] or size * pixels <= PIXELS_MOST)


def cuts(count: int, sizes: tuple[int, ...]) -> list[Cut]:
    """*count* frames as batches of the largest of *sizes*, and the rest as one of the smallest that holds it."""
    most = sizes[-1]
    borders = [(first, min(first + most, count)) for first in range(0, count, most)]
    return [Cut(first, last, min(size for size in sizes if size >= last - first)) for first, last in borders]


def is_there(device: str | torch.device) -> bool:
    """Whether torch sees this CUDA *device*."""
    return torch.cuda.is_available() and (torch.device(device).index or 0) < torch.cuda.device_count()


def lacking(device: str | torch.device) -> str:
    """What torch sees in place of *device*, which is not there."""
    seen = f"only {torch.cuda.device_count()} of them" if torch.cuda.is_available() else "no CUDA device"
    return f"{device} was asked for but torch sees {seen}"


def has_bfloat16(device: str | torch.device) -> bool:
    """Whether this CUDA *device* multiplies bfloat16 itself."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def pin(array: npt.NDArray[Any], device: str | torch.device = "cuda") -> bool:
    """Page-locks the memory of *array* until the process ends, for CUDA devices to copy from it while others compute.

    False where the driver refuses: frames in it are then copied twice.
    """
    with torch.cuda.device(device):
        found = _driver().cudaHostRegister(array.ctypes.data, array.nbytes, PORTABLE)
        if int(found) == 0:
            return True
        with contextlib.suppress(RuntimeError):  # the driver tells a failure once more, at the next launch
            torch.ones(1, device=device)
        return False


def unpin(array: npt.NDArray[Any]) -> None:
    """Undoes `pin`: memory must not be freed before."""
    _driver().cudaHostUnregister(array.ctypes.data)


class CudaEngine:
    """Scores frames on a device, for one caller at a time.

    While a batch is scored, the next one is copied in. Graphs are captured when frames of a type come for the first
    time. On `cpu`, where there are neither streams nor graphs, it takes the same steps one after the other.
    """

    def __init__(
        self,
        preparation: Preparation,
        network: Network,
        charts: ChartParameters,
        precision: Precision = "float32",
        device: str | torch.device = "cuda",
        captured: bool = True,
    ) -> None:
        """*network* is folded: its code is whitened. Not *captured*, every operation is launched by itself."""
        self._step = Step(preparation, network, charts, precision, device)
        self._size = preparation.height, preparation.width
        self.sizes = sizes_for(preparation.height * preparation.width)
        self._captured = captured and self._step.device.type == "cuda"
        self._lanes: dict[str, tuple[_Lane, _Lane]] = {}
        self._copying, self._computing = _stream(self._step.device), _stream(self._step.device)

    @property
    def fused(self) -> bool:
        """Whether residuals are looked at by kernels of their own, or by operations of torch."""
        return self._step.fused

    def __call__(self, frames: Frames, after_chunk: Callable[[], None]) -> Scores:
        """Scores of *frames* (n, h, w), one or more; *after_chunk* is called after each batch.

        When it returns, nothing reads *frames* any more.
        """
        lanes = self._lanes_for(frames.dtype.name)
        parts: list[Scores] = []
        waiting: list[tuple[_Lane, int]] = []

        def collect() -> None:
            lane, count = waiting.pop(0)
            parts.append(self._step.scores(lane.packed(count)))
            after_chunk()

        for number, (first, last, size) in enumerate(cuts(len(frames), self.sizes)):
            lane = lanes[number % len(lanes)]
            lane.start(frames[first:last], size)
            waiting.append((lane, last - first))
            if len(waiting) == len(lanes):
                collect()
        while waiting:
            collect()
        return parts[0] if len(parts) == 1 else Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def _lanes_for(self, dtype: str) -> "tuple[_Lane, _Lane]":
        if dtype not in self._lanes:
            streams = self._copying, self._computing
            most = self.sizes[-1], *self._size
            lanes = _Lane(self._step, most, dtype, *streams), _Lane(self._step, most, dtype, *streams)
            if self._captured:
                pool = torch.cuda.graph_pool_handle()  # shared: graphs run one after the other
                for size in reversed(self.sizes):  # the largest first: the others fit into its memory
                    for lane in lanes:
                        lane.capture(size, pool)
            if self._step.device.type == "cuda":
                torch.cuda.synchronize(self._step.device)  # what was allocated and copied on other streams
            self._lanes[dtype] = lanes
        return self._lanes[dtype]


class _Lane:
    """Memory of one batch on its way: two of them, so that one is filled while the other is scored."""

    def __init__(
        self,
        step: Step,
        most: tuple[int, int, int],
        dtype: str,
        copying: torch.cuda.Stream,
        computing: torch.cuda.Stream,
    ) -> None:
        self._step, self._copying, self._computing = step, copying, computing
        self._module = torch.get_device_module(step.device)
        locked, kind = step.device.type == "cuda", getattr(torch, dtype)
        self._frames = torch.empty(most, dtype=kind, device=step.device)
        self._staged = torch.empty(most, dtype=kind, pin_memory=locked)
        self._packed = torch.empty((most[0], step.columns), pin_memory=locked)
        self._arrived, self._scored = _event(step.device), _event(step.device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def start(self, frames: Frames, size: int) -> None:
        """Begins to copy and to score *frames* as a batch of *size*; what the others of it hold is not looked at."""
        self._scored.synchronize()
        count, source = len(frames), _page_locked(frames)
        if source is None:
            source = self._staged[:count]
            np.copyto(source.numpy(), frames)
        with self._module.stream(self._copying):
            self._frames[:count].copy_(source, non_blocking=True)
            self._arrived.record(self._copying)
        with self._module.stream(self._computing):
            self._computing.wait_event(self._arrived)
            self._packed[:count].copy_(self._run(size)[:count], non_blocking=True)
            self._scored.record(self._computing)

    def packed(self, count: int) -> npt.NDArray[np.float32]:
        """What became of the last *count* frames, as soon as it is there; valid until the next ones start."""
        self._scored.synchronize()
        packed: npt.NDArray[np.float32] = self._packed[:count].numpy()
        return packed

    def capture(self, size: int, pool: Any) -> None:
        """Makes a graph of the step on *size* frames of this lane's memory."""
        torch.cuda.synchronize(self._step.device)
        with torch.inference_mode(), _full_float32():
            with torch.cuda.stream(self._computing):
                for _ in range(WARM_UP):
                    self._step(self._frames[:size])
            self._computing.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool, self._computing, capture_error_mode="thread_local"):
                packed = self._step(self._frames[:size])
        self._graphs[size] = graph, packed

    def _run(self, size: int) -> Tensor:
        if size in self._graphs:
            graph, packed = self._graphs[size]
            graph.replay()
            return packed
        with _full_float32():
            return self._step(self._frames[:size])


def _page_locked(frames: Frames) -> Tensor | None:
    """*frames* where a device can copy them from, while others compute, as they lie; None where it cannot."""
    if not (frames.flags.c_contiguous and frames.flags.writeable and frames.dtype.isnative):
        return None
    tensor = torch.from_numpy(frames)
    return tensor if tensor.is_pinned() else None


def _full_float32() -> "contextlib.AbstractContextManager[None]":
    """Convolutions of the encoder in float32, not in TF32, which torch takes for them where nobody says otherwise."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False)


def _stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device) if device.type == "cuda" else torch.cpu.Stream()  # type: ignore[no-untyped-call]


def _event(device: torch.device) -> Any:
    """One that the host waits for asleep: the other threads have use for the core."""
    return torch.cuda.Event(blocking=True) if device.type == "cuda" else torch.cpu.Event()  # type: ignore[no-untyped-call]


def _driver() -> Any:
    return torch.cuda.cudart()  # type: ignore[no-untyped-call]
