"""What is measured without the daemon: scoring, the naive loop and the ceilings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from frames import normal

from models.autoencoder import operations
from models.trained import from_tensors
from monitor import service
from monitor.bench.alone import Ceilings, CeilingsOrder, NaiveOrder, Passed, Scored, ScoringOrder
from monitor.bench.children import BenchError, Camera, ask, competitors
from monitor.bench.daemon import free_ports
from monitor.bench.naive import Naive
from monitor.bench.producer import FLAT_OUT_HZ, Opening, Order
from monitor.bench.scoring import backends, operations_of
from monitor.bundle import Bundle
from monitor.score import load_scorer


def test_every_backend_scores_frames_as_the_bundle_does(small_bundle: Bundle) -> None:
    frames = normal(5, 1)
    expected = load_scorer(small_bundle)(frames)
    for name, score in backends(small_bundle, "cpu", 1):
        np.testing.assert_allclose(score(frames).t2, expected.t2, rtol=1e-2, err_msg=name)


def test_operations_are_those_of_the_network_of_all_tiles(small_bundle: Bundle, tiled_bundle: Bundle) -> None:
    trained, _ = from_tensors(small_bundle.tensors, 32, 32)
    assert operations_of(small_bundle) == operations(trained.network)
    tile, _ = from_tensors(tiled_bundle.tensors, 32, 32)
    assert operations_of(tiled_bundle) == 12 * operations(tile.network)


@pytest.mark.parametrize(("height", "width"), [(16, 48), (64, 64)])
def test_the_naive_network_draws_frames_of_its_own_size(height: int, width: int) -> None:
    with torch.inference_mode():
        assert Naive(height, width)(torch.zeros(2, 1, height, width)).shape == (2, 1, height, width)


def test_a_worker_scores_by_batch_size(small_bundle: Bundle, tmp_path: Path) -> None:
    bank = tmp_path / "bank.npy"
    np.save(bank, normal(6, 1))
    order = ScoringOrder(str(small_bundle.path), str(bank), "cpu", 1, [1, 8], 0.01)
    scored = ask("monitor.bench.scoring", order, Scored, service.MALLOC)
    assert [row.batch for row in scored.rows] == [1, 8] * 2
    assert [row.backend for row in scored.rows[::2]] == sorted(
        {"decoder in float32", "decoder in bfloat16"}, key=lambda name: small_bundle.manifest.precision not in name
    )
    assert all(row.frames_per_s > 0 and row.cpu_frames_per_s > 0 for row in scored.rows)
    assert scored.as_the_daemon(8).batch == 8
    assert scored.operations == operations_of(small_bundle)


def test_the_naive_loop_is_fed_and_measured(tmp_path: Path) -> None:
    bank = tmp_path / "bank.npy"
    np.save(bank, normal(20, 1, 20, 36))  # sides that are no multiples of 16
    endpoint = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    with Camera(Opening(str(bank), endpoint, "cam", FLAT_OUT_HZ, "", "", 1, "push")) as camera:
        camera.begin(Order(FLAT_OUT_HZ, 2**31))
        passed = ask("monitor.bench.naive", NaiveOrder(endpoint, 20, 36, 1, [1, 4], 0.01), Passed)
    assert [row.batch for row in passed.rows] == [1, 4]
    assert all(row.frames_per_s > 0 for row in passed.rows)


def test_the_machine_has_ceilings() -> None:
    found = ask("monitor.bench.ceilings", CeilingsOrder("cpu", 1, 0.01), Ceilings)
    assert found.float32_multiply_adds_per_s > 1e6
    assert found.bfloat16_multiply_adds_per_s > 1e6
    assert found.copied_bytes_per_s > 1e6


def test_a_worker_that_fails_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    order = ScoringOrder(str(tmp_path / "none"), "", "cpu", 1, [1], 0.01)
    with pytest.raises(BenchError, match=r"monitor\.bench\.scoring ended with status 1"):
        ask("monitor.bench.scoring", order, Scored)
    assert "BundleError" in capfd.readouterr().err


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_one_process_in_two_cores_competes(cores: int, count: int) -> None:
    assert competitors(cores) == count
