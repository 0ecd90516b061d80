"""What a crop shows is told apart whichever way it is turned, repeatably, and survives being written down."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from turned_glyphs import glyphs

from models.invariant.embedding import Invariant, from_tensors, prepared, to_tensors
from models.invariant.network import Plan, fresh, pixel_grid, turned
from models.invariant.training import InvariantSettings, train_invariant

PLAN = Plan(side=16, content=4, channels=8, hidden=32, waves=12, offset=0.1)
QUICK = InvariantSettings(PLAN, max_steps=20, pixels=32)
LEARNED = InvariantSettings(PLAN, epochs=100, max_steps=220, pixels=48, learning_rate=5e-3)


def silent(done: int, steps: int, loss: float) -> None:
    pass


@pytest.fixture(scope="module")
def learned() -> Invariant:
    """An embedding of glyphs, at whose training no two crops were turned alike."""
    return train_invariant(glyphs(150, 16, seed=0)[0], LEARNED, silent)


def test_kinds_are_told_apart_whichever_way_they_are_turned(learned: Invariant) -> None:
    crops, kinds = glyphs(60, 16, seed=1)
    found = KMeans(3, n_init=5, random_state=0).fit_predict(learned.embed(crops))
    plain = KMeans(3, n_init=5, random_state=0).fit_predict(crops.reshape(len(crops), -1))
    assert adjusted_rand_score(kinds, found) > 0.9 > 0.5 > adjusted_rand_score(kinds, plain)


def test_the_same_thing_turned_stays_where_it_is(learned: Invariant) -> None:
    crops, _ = glyphs(20, 16, seed=2, angles=np.zeros(60))
    others, _ = glyphs(20, 16, seed=2, angles=np.linspace(0, 2 * np.pi, 60))
    here, there = learned.embed(crops), learned.embed(others)
    scatter = np.square(here - here.mean(axis=0)).sum(axis=1).mean()
    assert np.square(here - there).sum(axis=1).mean() < 0.1 * scatter


def test_what_a_crop_shows_is_drawn_one_way_up_however_it_was_turned(learned: Invariant) -> None:
    crops, kinds = glyphs(20, 16, seed=3)
    drawn = learned.upright(learned.embed(crops)).reshape(len(crops), -1)
    assert drawn.shape == (60, 256)
    for kind in range(3):
        likeness, before = (np.corrcoef(one[kinds == kind]) for one in (drawn, crops.reshape(len(crops), -1)))
        assert np.median(likeness) > 0.8 > np.median(before)


def test_a_turn_by_a_starting_angle_changes_nothing_at_all() -> None:
    network = fresh(PLAN, seed=0).eval()
    x = torch.from_numpy(glyphs(5, 16, seed=0)[0])[:, None]
    for quarters in (1, 2, 3):
        assert torch.allclose(network.embed(x), network.embed(x.rot90(quarters, (2, 3))), atol=1e-5)


def test_what_is_drawn_turns_with_the_pose() -> None:
    network = fresh(PLAN, seed=3)
    content = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(0))
    upright, quarter = (
        network.draw(content, torch.tensor([[[angle, 0.0, 0.0]]]), network.grid).view(1, 1, 16, 16)
        for angle in (0.0, math.pi / 2)
    )
    assert torch.allclose(turned(upright, torch.tensor([math.pi / 2])), quarter, atol=1e-4)


def test_what_is_drawn_moves_with_the_pose() -> None:
    network = fresh(PLAN, seed=3)
    content = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(0))
    here, right = (
        network.draw(content, torch.tensor([[[0.0, pixels * 2 / 16, 0.0]]]), network.grid).view(16, 16)
        for pixels in (0, 3)
    )
    assert torch.allclose(here[:, :-3], right[:, 3:], atol=1e-4)


def test_the_copy_at_a_starting_angle_is_drawn_upright() -> None:
    """A crop that is turned by a starting angle looks in that copy as the unturned one did in the first."""
    network = fresh(PLAN, seed=1).eval()
    x = torch.from_numpy(glyphs(1, 16, seed=0)[0])[:, None]
    plain, quarter = network.posterior(x), network.posterior(turned(x, -network.starts[2:3].expand(3)))
    assert torch.allclose(plain.mean, quarter.mean.roll(-2, 1), atol=1e-4)
    whole = [
        torch.cat((one.pose[..., :1] - network.starts[:, None], one.pose[..., 1:]), -1) for one in (plain, quarter)
    ]
    drawn = [network.draw(one.mean, pose, network.grid) for one, pose in zip((plain, quarter), whole, strict=True)]
    again = turned(drawn[0][:, 0].view(3, 1, 16, 16), -network.starts[2:3].expand(3))
    assert torch.allclose(again.flatten(1), drawn[1][:, 2], atol=1e-4)


def test_shares_of_starting_angles_sum_to_one_and_divergence_is_never_below_nothing() -> None:
    network = fresh(PLAN, seed=0)
    found = network.posterior(torch.randn(7, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert found.weight.exp().sum(dim=1).tolist() == pytest.approx([1.0] * 7)
    assert (found.weight.exp() * network.penalty(found)).sum(dim=1).detach().min() > 0


def test_the_same_crops_and_settings_give_the_same_network() -> None:
    crops, _ = glyphs(20, 16, seed=0)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    one = train_invariant(crops, QUICK, silent)
    assert torch.equal(before, torch.random.get_rng_state()), "torch's own random state is left alone"
    torch.manual_seed(12)
    other = train_invariant(crops, QUICK, silent)
    third = train_invariant(crops, QUICK._replace(seed=1), silent)
    assert np.array_equal(one.embed(crops), other.embed(crops))
    assert not np.array_equal(one.embed(crops), third.embed(crops))


def test_training_stops_when_held_crops_are_long_past_their_best() -> None:
    told: list[tuple[int, int]] = []
    crops, _ = glyphs(6, 16, seed=0)
    held = np.random.default_rng(0).normal(size=(8, 16, 16)).astype(np.float32)
    settings = QUICK._replace(epochs=1000, max_steps=200, learning_rate=1e-2)
    train_invariant(crops, settings, lambda done, steps, _: told.append((done, steps)), held)
    assert len(told) < 20
    assert told[-1] == (200, 200)
    assert told == sorted(told)


def test_without_an_offset_nothing_is_moved() -> None:
    settings = QUICK._replace(plan=PLAN._replace(offset=0.0))
    crops, _ = glyphs(10, 16, seed=0)
    trained = train_invariant(crops, settings, silent)
    pose = trained.network.posterior(prepared(trained.sight, crops)).pose.detach()
    assert pose[..., 1:].abs().max() == 0.0
    assert pose[..., 0].abs().max() > 0.0


def test_what_was_trained_survives_being_written_down(learned: Invariant, tmp_path: Path) -> None:
    crops, _ = glyphs(5, 16, seed=4)
    save_file(to_tensors(learned), tmp_path / "invariant.safetensors")
    again = from_tensors(load_file(tmp_path / "invariant.safetensors"))
    assert again.sight == learned.sight
    assert again.network.plan == learned.network.plan
    assert np.array_equal(again.embed(crops), learned.embed(crops))


@pytest.mark.parametrize("name", ["network.grid", "plan.side", "sight.scale"])
def test_tensors_that_do_not_fit_are_refused(learned: Invariant, name: str) -> None:
    tensors = to_tensors(learned)
    del tensors[name]
    with pytest.raises(ValueError, match=name.partition(".")[2]) as refusal:
        from_tensors(tensors)
    assert "\n" not in str(refusal.value)


def test_crops_of_any_size_and_type_are_brought_to_the_size_that_was_trained(learned: Invariant) -> None:
    crops, kinds = glyphs(30, 48, seed=5, noise=0.3)
    found = learned.embed(crops)
    assert found.shape == (90, 4)
    assert found.dtype == np.float32
    assert adjusted_rand_score(kinds, KMeans(3, n_init=5, random_state=0).fit_predict(found)) > 0.9
    assert learned.embed(crops[:0]).shape == (0, 4)


def test_with_their_own_contrast_crops_look_alike_in_any_light() -> None:
    crops, _ = glyphs(10, 16, seed=0)
    trained = train_invariant(crops, QUICK._replace(own_contrast=True), silent)
    assert trained.embed(100 + 7 * crops) == pytest.approx(trained.embed(crops), abs=1e-4)
    assert np.isfinite(trained.embed(np.full((2, 16, 16), 3, np.uint8))).all(), "nor does a flat one end in nothing"


def test_a_turn_takes_what_is_on_the_right_upwards() -> None:
    x = torch.zeros(1, 1, 16, 16)
    x[0, 0, 7:9, 12:] = 1.0
    up = turned(x, torch.tensor([math.pi / 2]))
    assert float(up[0, 0, :4, 7:9].min()) == pytest.approx(1.0, abs=1e-4)
    assert pixel_grid(16)[0].tolist() == pytest.approx([-0.9375, -0.9375])


CROPS = np.zeros((20, 16, 16), np.float32)


@pytest.mark.parametrize(
    ("crops", "settings", "says"),
    [
        (CROPS[:10], QUICK, "16 crops"),
        (CROPS[:, :8], QUICK, "16 crops"),
        (CROPS.astype(np.int64), QUICK, "not int64"),
        (CROPS + np.nan, QUICK, "not finite"),
        (CROPS, QUICK._replace(max_steps=0), "at least 1"),
        (CROPS, QUICK._replace(learning_rate=0.0), "learning_rate must be above 0"),
        (CROPS, QUICK._replace(plan=PLAN._replace(side=8)), "16 pixels a side"),
        (CROPS, QUICK._replace(plan=PLAN._replace(angles=0)), "at least 1"),
        (CROPS, QUICK._replace(plan=PLAN._replace(offset=0.7)), "offset must be"),
    ],
)
def test_unusable_crops_and_settings_are_refused(crops: npt.NDArray[Any], settings: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        train_invariant(crops, settings, silent)
    assert "\n" not in str(refusal.value)
