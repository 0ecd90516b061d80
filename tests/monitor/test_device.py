"""Limits belong to the device that scored their frames, and a device that is not there is told in one line."""

import pytest
import torch

from monitor import device as devices
from monitor.device import engine_of, name_of, oddities, other_than, require


def test_the_processor_is_always_there() -> None:
    require("cpu")
    assert name_of("cpu") == "cpu"
    assert engine_of("cpu") == f"torch {torch.__version__} cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_there_is_told_in_one_line(device: str) -> None:
    line = f"engine.device: {device} was asked for but torch sees no CUDA device; use cpu"
    with pytest.raises(ValueError, match=f"^{line}$"):
        require(device)


def test_limits_of_the_same_device_fit_whatever_the_version_of_torch() -> None:
    assert other_than(engine_of("cpu"), "cpu") == ""
    assert other_than("torch 2.11.0+cpu cpu", "cpu") == ""


def test_limits_of_another_device_are_told() -> None:
    told = "the bundle's limits were set on scores of cuda NVIDIA H100, engine.device scores on cpu"
    assert other_than("torch 2.13.0 cuda NVIDIA H100", "cpu") == told


@pytest.mark.parametrize(("has", "told"), [(False, 1), (True, 0)])
def test_a_decoder_in_bfloat16_is_told_where_the_processor_has_no_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, has: bool, told: int
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: has)
    assert len(oddities(engine_of("cpu"), "bfloat16", "cpu")) == told
    assert oddities(engine_of("cpu"), "float32", "cpu") == []
    assert len(oddities("torch 2.13.0 cuda NVIDIA H100", "bfloat16", "cpu")) == told + 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_known_by_its_name() -> None:
    require("cuda")
    name = torch.cuda.get_device_name()
    assert engine_of("cuda") == f"torch {torch.__version__} cuda {name}"
    assert other_than(engine_of("cuda:0"), "cuda") == ""
    assert other_than(engine_of("cpu"), "cuda").endswith(f"of cpu, engine.device scores on cuda {name}")
    with pytest.raises(ValueError, match="only"):
        require(f"cuda:{torch.cuda.device_count()}")
