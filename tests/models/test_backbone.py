"""Backbones come from local files alone, lose their last layer, and say in a line what is missing."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models import embeddings
from models.backbone import Backbone, BackboneError, load_backbone, span_of
from models.embeddings import of_backbone

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 20, 24)).astype(np.uint8)


class Classifier(nn.Module):
    """As small as a classifier of three-channel pictures can be."""

    def __init__(self, features: int = 4) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, features, 3), nn.BatchNorm2d(features), nn.ReLU())
        self.fc = nn.Linear(features, 10)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc(self.body(x).mean(dim=(2, 3)))
        return found


def get_model(name: str, weights: None) -> nn.Module:
    made = {"small": Classifier, "headless": lambda: nn.Conv2d(3, 4, 3)}
    if name not in made:
        raise ValueError(f"Unknown model {name}")
    return made[name]()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands where torchvision and timm would be, with one small network."""
    torchvision, models, timm = (ModuleType(name) for name in ("torchvision", "torchvision.models", "timm"))
    models.get_model = get_model  # type: ignore[attr-defined]
    torchvision.models = models  # type: ignore[attr-defined]
    timm.create_model = lambda name: get_model(name, None)  # type: ignore[attr-defined]
    for module in (torchvision, models, timm):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("source", ["torchvision", "timm"])
@pytest.mark.parametrize("kind", ["safetensors", "pt", "pt without its head"])
def test_weights_of_a_local_file_are_used(tmp_path: Path, source: Any, kind: str) -> None:
    trained = Classifier()
    file, found = tmp_path / f"weights.{kind.split()[0]}", state(trained)
    if "without" in kind:
        found = {name: value for name, value in found.items() if not name.startswith("fc.")}
    (save_file if kind == "safetensors" else torch.save)(found, file)
    backbone = load_backbone("small", file, source, side=16)
    z = backbone.embed(FRAMES)
    trained.fc = nn.Identity()  # type: ignore[assignment]
    again = Backbone(trained.eval(), side=16).embed(FRAMES)
    assert z.shape == (5, 4)
    assert z.dtype == np.float32
    assert np.array_equal(z, again)


@pytest.mark.usefixtures("library")
def test_a_backbone_is_frozen(tmp_path: Path) -> None:
    torch.save(state(Classifier()), tmp_path / "w.pt")
    network = load_backbone("small", tmp_path / "w.pt").network
    assert not network.training
    assert not any(one.requires_grad for one in network.parameters())


def test_a_grey_frame_becomes_the_same_picture_in_three_channels() -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x

    backbone = Backbone(Spy(), side=8, span=(100.0, 300.0), mean=(0.5, 0.5, 0.5), sd=(0.5, 0.25, 0.125))
    backbone.embed(np.full((1, 20, 24), 250, np.uint16))
    assert seen[0].shape == (1, 3, 8, 8)
    assert seen[0].mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.5, 1.0, 2.0])


def test_black_and_white_are_those_of_bytes_or_of_nearly_all_pixels() -> None:
    assert span_of(FRAMES) == (0.0, 255.0)
    frames = np.linspace(1000, 2000, 4000).reshape(4, 10, 100).astype(np.float32)
    frames[0, 0, 0] = 60_000
    low, high = span_of(frames)
    assert (low, high) == pytest.approx((1001, 2000), abs=3)
    flat_low, flat_high = span_of(np.zeros((2, 4, 4), np.float32))
    assert flat_low < flat_high


@pytest.mark.usefixtures("library")
def test_what_is_no_file_of_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    wrong = {
        "other.pt": ({"body.0.weight": torch.zeros(1)}, "does not hold small"),
        "module.pt": (Classifier(), "read safely"),
        "list.pt": ([1, 2], "network's state"),
        "checkpoint.pt": ({"epoch": 3, "model": state(Classifier())}, "network's state"),
    }
    for name, (content, says) in wrong.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(BackboneError, match=says) as refusal:
            load_backbone("small", tmp_path / name)
        assert "\n" not in str(refusal.value)
    for name in ("junk.pt", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(BackboneError, match="read safely"):
            load_backbone("small", tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_backbone("small", tmp_path / "missing.pt")


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "span", "says"),
    [
        ("unheard-of", (0.0, 1.0), "no network 'unheard-of'"),
        ("headless", (0.0, 1.0), "no linear layer"),
        ("small", (1.0, 1.0), "span must rise"),
    ],
)
def test_unusable_networks_and_spans_are_refused(name: str, span: tuple[float, float], says: str) -> None:
    with pytest.raises(BackboneError, match=says):
        load_backbone(name, Path("w.pt"), span=span)


@pytest.mark.parametrize("source", ["torchvision", "timm"])
def test_a_library_that_is_not_installed_is_asked_for_in_one_line(monkeypatch: Any, source: Any) -> None:
    monkeypatch.setitem(sys.modules, source, None)
    monkeypatch.setitem(sys.modules, f"{source}.models", None)
    with pytest.raises(BackboneError, match=rf"need {source}.*framewatch\[backbone\]") as refusal:
        load_backbone("resnet18", Path("w.pt"), source)
    assert "\n" not in str(refusal.value)


def test_a_library_built_for_another_torch_is_told_like_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms is unknown")')
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackboneError, match="for this torch"):
        load_backbone("resnet18", Path("w.pt"))


def test_frames_that_cannot_be_embedded_are_refused() -> None:
    with pytest.raises(ValueError, match="n > 0"):
        Backbone(nn.Flatten()).embed(FRAMES[:0])
    with pytest.raises(ValueError, match="not finite"):
        Backbone(nn.Flatten()).embed(np.full((1, 8, 8), np.nan, np.float32))


@pytest.mark.usefixtures("library")
def test_a_backbone_survives_being_arrays_and_plain_values(tmp_path: Path) -> None:
    torch.save(state(Classifier()), tmp_path / "w.pt")
    backbone = load_backbone("small", tmp_path / "w.pt", "timm", side=16, span=(10.0, 200.0))
    embedding = of_backbone(backbone)
    again = embeddings.read(embedding.what, json.loads(json.dumps(embedding.plain)), embedding.tensors)
    assert embedding.size == 4
    assert np.array_equal(again.embed(FRAMES), backbone.embed(FRAMES))


@pytest.mark.usefixtures("library")
def test_arrays_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(state(Classifier()), tmp_path / "w.pt")
    embedding = of_backbone(load_backbone("small", tmp_path / "w.pt", side=16))
    with pytest.raises(BackboneError, match="do not make small"):
        embeddings.read("backbone", dict(embedding.plain), {})
