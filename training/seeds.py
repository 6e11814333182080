"""Seeds derived from what they are for, so that no loop has to carry a generator's state.

Data order, augmentation and sampled sub-networks are functions of (seed, epoch or step): a run
that resumes needs only its step number to draw exactly what it would have drawn.
"""

from __future__ import annotations

import hashlib

import torch


def derived(purpose: str, *numbers: int) -> int:
    """A seed in [0, 2**63) for `purpose` and `numbers`; distinct arguments give unrelated seeds."""
    text = ":".join((purpose, *map(str, numbers)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, *numbers: int) -> torch.Generator:
    """A CPU generator seeded by `derived`."""
    return torch.Generator().manual_seed(derived(purpose, *numbers))
