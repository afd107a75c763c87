"""A version's canary fingerprint: its answers to fixed prompts that hold no user's data.

A replica that has loaded a version compares its answers with those recorded when the version was made. Wrong weights,
a wrong scale or a wrong base are so detected before the first request.
"""

from collections.abc import Sequence

import torch

from recommender.base import Base, BaseFiles
from recommender.catalogue_scores import CatalogueScorer
from recommender.errors import DataError

Fingerprint = list[list[float]]

_PROMPT_LENGTHS = (0, 1, 5, 20)
_VALUES_PER_PROMPT = 16
_FLOAT32_TOLERANCE, _HALF_TOLERANCE = 1e-3, 0.25


def canary_fingerprint(scorer: CatalogueScorer) -> Fingerprint:
    """Log-probabilities of evenly spaced items after each canary prompt, one list per prompt.

    The prompts follow an arithmetic rule, so they hold no user's data and depend only on the size of the catalogue.
    """
    size, kinds = scorer.style.catalogue_size, scorer.style.event_kinds
    prompts = [
        [(17 * step * step + 31 * step + length) % kinds for step in range(length)]
        for length in _PROMPT_LENGTHS
    ]
    count = min(_VALUES_PER_PROMPT, scorer.style.candidates or _VALUES_PER_PROMPT)
    probes = sorted({position * size // count for position in range(count)})
    candidates = None if scorer.style.candidates is None else [probes] * len(prompts)
    values: Fingerprint = scorer.item_log_probs(prompts, candidates)[:, probes].tolist()
    return values


def fingerprint_tolerance(base: Base | BaseFiles) -> float:
    """How far the same version's values may be apart on two processors, absolute, in nats.

    A number in half precision has eight significant bits: of a logit between 16 and 32 the last one is 0.125, and sums
    in another order differ in it. There, the fingerprint only finds what differs by two of them; digests find
    everything else.
    """
    if isinstance(base, BaseFiles):
        exact = base.single
    else:
        exact = all(weight.dtype == torch.float32 for weight in base.model.parameters())
    return _FLOAT32_TOLERANCE if exact else _HALF_TOLERANCE


def fingerprints_match(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], tolerance: float
) -> bool:
    """Whether both have the same shape and every value agrees within `tolerance` (absolute, in nats).

    Another processor or thread count causes differences of 1e-4 in float32, another model differences of 1e-2 and more.

    Raises:
        DataError: the tolerance is not positive.
    """
    if not tolerance > 0:
        raise DataError(f"tolerance must be positive, got {tolerance}")
    if [len(row) for row in first] != [len(row) for row in second]:
        return False
    a, b = (
        torch.tensor([value for row in rows for value in row], dtype=torch.float64)
        for rows in (first, second)
    )
    # Written so that NaN, which compares false with everything, never matches.
    return bool(((a - b).abs() <= tolerance).all())
