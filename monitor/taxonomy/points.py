"""By what frames become points: the network of a bundle, and an embedding where the configuration names one."""

from pathlib import Path
from typing import NamedTuple

from models.points import Points, points_by
from models.scorer import Scorer
from monitor.bundle import Bundle, BundleError
from monitor.bundle import read as read_bundle
from monitor.taxonomy import embedding as embeddings
from monitor.taxonomy.embedding import EmbeddingError, space
from monitor.taxonomy.launcher import Task


class Means(NamedTuple):
    """By what frames become points."""

    bundle: Bundle
    embedding: str  # sha256; empty: residuals as they are
    points: Points

    @property
    def space(self) -> str:
        """In which the points are."""
        return space(self.bundle.sha256, self.embedding or None)


def means_of(task: Task) -> Means:
    """Bundle and embedding of *task*. Raises BundleError and EmbeddingError."""
    bundle = read_bundle(Path(task.bundle))
    held, given = bundle.manifest, task.settings.embedding
    try:
        scorer = Scorer(bundle.tensors, held.height, held.width)
    except ValueError as error:
        raise BundleError(f"{bundle.path}: {error}; calibrate anew") from None
    if given is None:
        return Means(bundle, "", points_by(scorer))
    found = embeddings.read(Path(given))
    embeddings.require_fit(Path(given), found.about, (held.height, held.width), held.dtype)
    if task.embedding not in (None, found.sha256):
        raise EmbeddingError(f"{given}: was replaced while the daemon ran; restart the daemon to use it")
    return Means(bundle, found.sha256, points_by(scorer, found.embedding))
