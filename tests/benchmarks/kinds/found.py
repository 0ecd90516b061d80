"""What clustering finds in an embedding, against the kinds that people gave."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

Floats = npt.NDArray[np.floating[Any]]

METHODS: Final = ("k-means", "mixture", "agglomerative")
RIDGE: Final = 1e-3  # of the mean variance, added to a mixture's: kinds of few crops span no volume


class Found(msgspec.Struct, frozen=True):
    """Agreement of one clustering with the kinds; 0 is chance, 1 the same."""

    data: str
    crops: str  # as they are, turned, ...
    embedding: str
    method: str
    seed: int
    ari: float
    nmi: float


def clusterings(z: Floats, count: int, seed: int) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Labels (n,) of *z* (n, p) in *count* clusters, by method."""
    z = np.asarray(z, np.float64)
    yield "k-means", KMeans(count, n_init=10, random_state=seed).fit_predict(z)
    ridge = RIDGE * float(z.var(axis=0).mean())
    yield "mixture", GaussianMixture(count, n_init=5, reg_covar=ridge, random_state=seed).fit_predict(z)
    yield "agglomerative", AgglomerativeClustering(count).fit_predict(z)


def judge(data: str, crops: str, embedding: str, z: Floats, kinds: npt.NDArray[np.str_], seed: int) -> list[Found]:
    """Every clustering of *z* (n, p) into as many clusters as there are *kinds* (n,)."""
    found = []
    for method, labels in clusterings(z, len(set(kinds.tolist())), seed):
        ari, nmi = adjusted_rand_score(kinds, labels), normalized_mutual_info_score(kinds, labels)
        found.append(Found(data, crops, embedding, method, seed, float(ari), float(nmi)))
    return found
