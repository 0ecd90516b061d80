"""A bundle's tensors hold all that a network and its charts are, and are refused where they are not whole."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparation import Alignment, Preparation
from models.tensors import ChartParameters, Tensors
from models.trained import Trained, from_tensors, to_tensors
from models.training import TrainingSettings, latents_and_residuals, train

HEIGHT, WIDTH = 37, 50
PLAIN = Preparation(HEIGHT, WIDTH, shift=100.25, scale=57.1)


def aligned(preparation: Preparation) -> Preparation:
    ground = np.random.default_rng(2).random(preparation.size, np.float32)
    return preparation._replace(alignment=Alignment(ground, 3.7, 0.25, -1.1, 12.3))


CASES = [
    (Architecture(latent=6), PLAIN),
    (Architecture(latent=6, group=8), PLAIN),
    (Architecture(latent=6, channels=(4, 8), stem_px=2, group=1), PLAIN),
    (Architecture(latent=6, linear=True), PLAIN),
    (Architecture(latent=6), PLAIN._replace(binning=2)),
    (Architecture(latent=6), aligned(PLAIN)),
    (Architecture(latent=6, linear=True), aligned(PLAIN._replace(binning=2))),
]


def trained_of(architecture: Architecture, preparation: Preparation) -> Trained:
    return Trained(fresh(*preparation.size, architecture, seed=3), preparation, ())


def charts_of(trained: Trained) -> ChartParameters:
    random = np.random.default_rng(1)
    latent = trained.network.latent
    scale = random.uniform(0.5, 2.0, trained.preparation.size)
    return ChartParameters(random.normal(size=latent), random.normal(size=(latent, latent)), scale, 0.1, 1 / 3, 8, 4)


@pytest.fixture
def tensors() -> Tensors:
    trained = trained_of(*CASES[0])
    return to_tensors(trained, charts_of(trained))


@pytest.mark.parametrize(("architecture", "preparation"), CASES)
def test_everything_comes_back_to_the_last_bit(architecture: Architecture, preparation: Preparation) -> None:
    trained = trained_of(architecture, preparation)
    charts = charts_of(trained)
    found, found_charts = from_tensors(to_tensors(trained, charts), HEIGHT, WIDTH)

    assert found.network.architecture == architecture
    weights = found.network.state_dict()
    assert weights.keys() == trained.network.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in trained.network.state_dict().items())

    assert found.preparation._replace(alignment=None) == preparation._replace(alignment=None)
    assert (found.preparation.alignment is None) == (preparation.alignment is None)
    for one, other in zip(found.preparation.alignment or (), preparation.alignment or (), strict=True):
        assert np.array_equal(one, other)

    for name, value in charts._asdict().items():
        assert np.array_equal(getattr(found_charts, name), value), name
    frames = np.random.default_rng(0).integers(0, 255, (3, HEIGHT, WIDTH), dtype=np.uint8)
    pairs = zip(next(latents_and_residuals(trained, frames)), next(latents_and_residuals(found, frames)), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_the_same_tensors_are_made_of_what_came_back(tensors: Tensors) -> None:
    again = to_tensors(*from_tensors(tensors, HEIGHT, WIDTH))
    assert again.keys() == tensors.keys()
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype, name
        assert again[name].tobytes() == array.tobytes(), name


def test_tensors_are_copies(tensors: Tensors) -> None:
    trained, charts = from_tensors(tensors, HEIGHT, WIDTH)
    copied = to_tensors(trained, charts)
    before = {name: array.copy() for name, array in copied.items()}
    with torch.no_grad():
        for parameter in trained.network.parameters():
            parameter.zero_()
    charts.whitening[:] = 0
    assert all(np.array_equal(copied[name], before[name]) for name in before)
    assert all(array.flags["C_CONTIGUOUS"] for array in copied.values())  # as files of tensors ask for


def test_channels_last_weights_are_stored_in_the_usual_order() -> None:
    trained = trained_of(*CASES[0])
    plain = to_tensors(trained, charts_of(trained))
    trained.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    for name, array in to_tensors(trained, charts_of(trained)).items():
        assert array.tobytes() == plain[name].tobytes(), name


def test_a_variational_training_leaves_no_trace_in_the_tensors() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (20, HEIGHT, WIDTH), dtype=np.uint8)
    settings = TrainingSettings(Architecture(latent=6), epochs=1, batch=10)
    plain, variational = (train(frames, settings._replace(variational=it), lambda *_: None) for it in (False, True))
    names = [to_tensors(trained, charts_of(trained)).keys() for trained in (plain, variational)]
    assert names[0] == names[1]
    found, _ = from_tensors(to_tensors(variational, charts_of(variational)), HEIGHT, WIDTH)
    x = torch.randn(4, 1, HEIGHT, WIDTH)
    assert torch.equal(found.network.encode(x), variational.network.encode(x))
    assert torch.equal(found.network.encode(x), found.network.encode(x))


@pytest.mark.parametrize(
    "name",
    [
        "network.to_latent.weight",
        "network.stem.bias",
        "charts.whitening",
        "charts.window",
        "architecture.latent",
        "architecture.group",
        "input.shift",
        "input.binning",
    ],
)
def test_a_missing_tensor_is_named(tensors: Tensors, name: str) -> None:
    del tensors[name]
    with pytest.raises(ValueError, match=rf"tensor '{name}' is missing"):
        from_tensors(tensors, HEIGHT, WIDTH)


def test_a_ground_without_its_threshold_is_refused() -> None:
    trained = trained_of(*CASES[5])
    tensors = to_tensors(trained, charts_of(trained))
    del tensors["input.threshold"]
    with pytest.raises(ValueError, match=r"tensor 'input\.threshold' is missing"):
        from_tensors(tensors, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("network.to_latent.weight", lambda array: array[:, :-1], "does not fit 37 x 50 frames"),
        ("network.phases.bias", lambda array: array[:-1], "does not fit 37 x 50 frames"),
        ("architecture.latent", lambda array: array + 1, "does not fit 37 x 50 frames"),
        ("architecture.latent", lambda array: array * 0, "latent must be at least 1"),
        ("architecture.group", lambda array: array + 3, "group must divide"),
        ("charts.latent_mean", lambda array: array[:-1], "charts.latent_mean' does not fit"),
        ("charts.whitening", lambda array: array[:-1], "charts.whitening' does not fit"),
        ("charts.residual_scale", lambda array: array[:-1], "charts.residual_scale' does not fit"),
    ],
)
def test_an_unlike_tensor_is_refused_in_one_line(
    tensors: Tensors, name: str, change: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    tensors[name] = change(tensors[name])
    with pytest.raises(ValueError, match=says) as refusal:
        from_tensors(tensors, HEIGHT, WIDTH)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("architecture", "preparation"), CASES)
@pytest.mark.parametrize(("height", "width"), [(39, 50), (64, 64), (50, 37)])
def test_frames_of_another_size_are_refused_in_one_line(
    architecture: Architecture, preparation: Preparation, height: int, width: int
) -> None:
    trained = trained_of(architecture, preparation)
    tensors = to_tensors(trained, charts_of(trained))
    with pytest.raises(ValueError, match=f"does not fit {height} x {width} frames") as refusal:
        from_tensors(tensors, height, width)
    assert "\n" not in str(refusal.value)
