"""An embedding lies in one file, which says what it is and is refused by name where it is of no use."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from models.embeddings import Embedding, learn_texture
from monitor.taxonomy import embedding as files
from monitor.taxonomy.embedding import About, EmbeddingError

FRAMES = np.random.default_rng(0).integers(0, 200, (12, 64, 64)).astype(np.uint8)
ABOUT = About(what="", height=64, width=64, dtype="uint8", frames=12, bundle="b" * 64, t_ns=7)


@pytest.fixture(scope="module")
def learned() -> Embedding:
    return learn_texture(FRAMES)


def test_what_was_written_is_read_and_gives_the_same_points(tmp_path: Path, learned: Embedding) -> None:
    path = tmp_path / "new" / "folder" / "texture.safetensors"
    files.write(path, ABOUT, learned)
    held = files.read(path)
    assert (held.about.what, held.about.frames, held.about.bundle, held.about.t_ns) == ("texture", 12, "b" * 64, 7)
    assert (held.about, held.sha256) == files.about(path)
    assert np.array_equal(held.embedding.embed(FRAMES), learned.embed(FRAMES))
    assert [one.name for one in path.parent.iterdir()] == ["texture.safetensors"]


def test_a_file_that_is_no_embedding_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "e.safetensors"
    with pytest.raises(EmbeddingError, match=r"e.safetensors: No such file"):
        files.read(path)
    path.write_bytes(b"not an embedding")
    with pytest.raises(EmbeddingError, match="is damaged, or no embedding"):
        files.read(path)
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(EmbeddingError, match="framewatch taxonomy learn"):
        files.read(path)


def test_a_file_of_which_one_bit_has_changed_is_damaged(tmp_path: Path, learned: Embedding) -> None:
    path = tmp_path / "e.safetensors"
    files.write(path, ABOUT, learned)
    whole = path.read_bytes()
    for spoilt in (whole[:-1], whole[:-5] + bytes([whole[-5] ^ 4]) + whole[-4:]):
        path.write_bytes(spoilt)
        with pytest.raises(EmbeddingError, match=r"e\.safetensors: is damaged"):
            files.about(path)


def test_a_newer_format_and_missing_tensors_are_refused(tmp_path: Path, learned: Embedding) -> None:
    path = tmp_path / "e.safetensors"
    files.write(path, msgspec.structs.replace(ABOUT, format=2), learned)
    with pytest.raises(EmbeddingError, match="has format 2, and this program reads 1"):
        files.about(path)
    files.write(path, ABOUT, learned._replace(tensors={"a": np.zeros(3)}))
    with pytest.raises(EmbeddingError, match="is missing"):
        files.read(path)


def test_it_is_refused_for_frames_of_another_size_or_type(tmp_path: Path) -> None:
    files.require_fit(tmp_path, ABOUT, (64, 64), "uint8")
    for size, dtype in (((64, 65), "uint8"), ((64, 64), "uint16")):
        with pytest.raises(EmbeddingError, match="learn another"):
            files.require_fit(tmp_path, ABOUT, size, dtype)


def test_points_of_another_bundle_or_embedding_are_in_another_space() -> None:
    assert files.space("bundle", None) == "bundle"
    assert len({files.space(one, other) for one in "ab" for other in (None, "c", "d")}) == 6
