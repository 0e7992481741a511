"""What the generator of the embedded cohort knows: the log-odds of a tumor, given the record.

There is no public name for it, since no user is to have it; so this module alone reads the tables
of the generator rather than holding a copy of them.
"""

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from skosfusion.datasets._synthetic import _clinical_statistics as drawn
from skosfusion.datasets._synthetic._cohort_plan import PAPER_IMAGES

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def clinical_log_odds(data, inputs):
    """Return the true log-odds of each image, given the age alone or all four inputs."""
    female = (data["gender"] == "F").to_numpy()
    age = data["age"].to_numpy(float)
    prior = np.log(PAPER_IMAGES[1] / PAPER_IMAGES[0])
    if set(inputs) == {"age"}:
        tumor, injury = (
            _person(age, np.ones(len(age), bool), label)
            + _person(age, np.zeros(len(age), bool), label)
            for label in (1, 0)
        )
        return prior + np.log(tumor / injury)
    if set(inputs) != {"gender", "age", "alp", "ldh"}:
        raise ValueError(f"the truth is known for the age and for all four inputs, not {inputs}")
    odds = np.log(_person(age, female, 1) / _person(age, female, 0))
    given_burden = np.ones((len(data), len(_NODES)))
    for analyte in ("alp", "ldh"):
        tumor, injury = _activity_densities(data, analyte, age, female)
        given_burden *= tumor
        odds -= np.log(injury)
    return prior + odds + np.log(given_burden @ _WEIGHTS)


def _person(age, female, label):
    """Return the chance of a sex together with an age in whole years, in one class."""
    male_share = drawn.MALE_SHARE_OSTEOSARCOMA if label else drawn.MALE_SHARE_INJURY
    chance = np.zeros(len(age))
    for is_female in (False, True):
        bands = drawn.OSTEOSARCOMA_AGES[is_female] if label else drawn.INJURY_AGES
        of_age = sum(
            (share / (high - low) * ((age >= low) & (age < high)) for low, high, share in bands),
            np.zeros(len(age)),
        )
        chance[female == is_female] = of_age[female == is_female]
    return chance * np.where(female, 1 - male_share, male_share)


def _activity_densities(data, analyte, age, female):
    """Return the densities of a log activity: with a tumor at each node of burden, and without."""
    value, low, high = (data[f"{analyte}{end}"].to_numpy() for end in ("", "_low", "_high"))
    adult_low, adult_high = drawn.ADULT_LIMITS[analyte]
    activity = adult_low + (value - low) / (high - low) * (adult_high - adult_low)
    limits = [drawn.reference_limits(analyte, a, f) for a, f in zip(age, female, strict=True)]
    lows, highs = np.log(limits).T
    spread = (highs - lows) / (2 * 1.96)
    # Above the middle of healthy people of this age and sex.
    rise = np.log(np.maximum(activity, 1.0)) - (lows + highs) / 2
    mean, wide = drawn.TUMOR_RISE[analyte]
    means = mean + wide * drawn.BURDEN_CORRELATION * _NODES
    own = wide * np.sqrt(1 - drawn.BURDEN_CORRELATION**2)
    # A normal rise cut at 0, plus the normal spread of healthy people.
    total = np.hypot(spread, own)[:, None]
    of_rise = (means * spread[:, None] ** 2 + rise[:, None] * own**2) / total**2
    left = ndtr(of_rise / (spread[:, None] * own / total))
    raised = norm.pdf(rise[:, None], means, total) * left
    healthy = norm.pdf(rise, 0.0, spread)
    return raised + ndtr(-means / own) * healthy[:, None], healthy
