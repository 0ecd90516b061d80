"""What a daemon that records asks for at its start."""

from pathlib import Path

import msgspec
import pytest
from daemon_example import some_config

from monitor import service
from monitor.bundle import Bundle
from monitor.orders import open_memory
from monitor.recorder.config import Recorder
from monitor.yamlfile import ConfigError


def test_a_ring_keeps_latents_and_notes_only_where_something_is_recorded(tmp_path: Path, small_bundle: Bundle) -> None:
    config = msgspec.structs.replace(some_config(tmp_path), bundle=str(small_bundle.path))
    for recorder, latent in ((Recorder(), small_bundle.latent), (Recorder(mib=0), 0)):
        given = service.prepare(msgspec.structs.replace(config, recorder=recorder), "c.yaml", small_bundle)
        assert open_memory(given).ring["latents"].shape == (given.slots, latent)
    assert (tmp_path / "journal.db.recordings").is_dir()


def test_a_folder_that_cannot_be_made_is_told_before_anything_starts(tmp_path: Path, small_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder(folder=str(tmp_path / "file" / "kept"))
    config = msgspec.structs.replace(some_config(tmp_path), bundle=str(small_bundle.path), recorder=recorder)
    with pytest.raises(ConfigError, match=r"recorder\.folder: .* cannot be made"):
        service.prepare(config, "c.yaml", small_bundle)
