"""How the default network is trained: one setting of the training at a time away from the default."""

from typing import Final

from tests.benchmarks.frontier.networks import DEFAULT, SEEDS_DEFAULT, THE_DEFAULT, Candidate

AUGMENT: Final = Candidate("orientation augment", {"orientation": "augment"})
NOISE: Final = tuple(Candidate(f"noise {noise:g}", {"noise": noise}) for noise in (0.0, 0.3))
PENALTIES: Final = (
    Candidate("variational", {"variational": True}),
    Candidate("sparsity 0.1", {"sparsity": 0.1}),
    Candidate("brightness 0.2, contrast 0.2", {"brightness": 0.2, "contrast": 0.2}),
)

OF_MELT_POOLS: Final = (  # by default aligned, dimming 0.2, which goes with alignment, noise 0.1
    THE_DEFAULT,
    Candidate("orientation none", {"orientation": "none"}),
    Candidate("orientation none, dimming 0.2", {"orientation": "none", "dimming": 0.2}),
    AUGMENT,
    Candidate("dimming 0", {"dimming": 0.0}, SEEDS_DEFAULT),  # lies so near that one training would not tell
    Candidate("dimming 0.4", {"dimming": 0.4}),
    *NOISE,
    Candidate("loss poisson, orientation none", {"loss": "poisson", "orientation": "none"}),
    *PENALTIES,
)
OF_STEM_IMAGES: Final = (  # by default as they come, dimming 0, noise 0.1
    THE_DEFAULT,
    Candidate("dimming 0.2", {"dimming": 0.2}),
    *NOISE,
    Candidate("loss poisson", {"loss": "poisson"}),
    *PENALTIES,
)
QUICK: Final = (Candidate(DEFAULT, {}, 2), AUGMENT)
