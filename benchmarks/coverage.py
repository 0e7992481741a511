"""Measure how often the 95 % intervals of `evaluate_scores` hold the truth.

Cohorts are simulated with a correlation of 0.6 among the images of a patient. Beside the intervals
by patient stand those which take each image for a patient. Type I error is how often one of seven
rows that are no better than the baseline is called better.
"""

import time

import numpy as np
from _common.files import write_record
from _common.machine import facts, versions
from _common.options import make_parser

from skosfusion.evaluation import evaluate_scores

CORRELATION = 0.6
METRICS = ["accuracy", "auc"]
SHIFTS = {"Baseline": 1.0, "All": 1.3}


def draw(random, n_patients, shifts):
    """Draw labels, patients and log-odds; errors of a patient's images and of rows correlate."""
    sizes = random.integers(1, 6, size=n_patients)
    patient = np.repeat(np.arange(n_patients), sizes)
    y = (np.arange(n_patients) % 2)[patient]

    def noise():
        own, common = random.normal(size=len(y)), random.normal(size=n_patients)[patient]
        return np.sqrt(1 - CORRELATION) * own + np.sqrt(CORRELATION) * common

    shared = noise()
    scores = {
        name: shift * (2 * y - 1) + np.sqrt(0.5) * shared + np.sqrt(0.5) * noise()
        for name, shift in shifts.items()
    }
    return y, scores, patient


def truth_of(shifts):
    """Return accuracy and AUC of each row: the normal distribution function of its shift."""
    from scipy.stats import norm

    rows = shifts.items()
    return {n: {"accuracy": norm.cdf(s), "auc": norm.cdf(s * np.sqrt(2))} for n, s in rows}


def coverage(n_patients, n_simulations, n_resamples, seconds, seed=0):
    """Return the share of simulations in which intervals hold the truth, and their number."""
    random, truth = np.random.default_rng(seed), truth_of(SHIFTS)
    held, stop, done = {}, time.perf_counter() + seconds, 0
    while done < n_simulations and time.perf_counter() < stop:
        y, scores, patient = draw(random, n_patients, SHIFTS)
        for kind, groups in (("by patient", patient), ("by image", None)):
            found = evaluate_scores(
                y, scores, groups=groups, fold=None, unit="image", metrics=METRICS,
                baseline="Baseline", n_resamples=n_resamples, random_state=done,
            )  # fmt: skip
            for metric in METRICS:
                low, high = found.table.loc["All", [f"{metric}_low", f"{metric}_high"]]
                value = truth["All"][metric]
                held.setdefault(f"{metric}, {kind}", []).append(low <= value <= high)
                low, high = found.differences.loc[("All", metric), ["low", "high"]]
                value -= truth["Baseline"][metric]
                held.setdefault(f"difference of {metric}, {kind}", []).append(low <= value <= high)
        done += 1
    return {"simulations": done, **{name: share_of(part) for name, part in held.items()}}


def share_of(held):
    """Return how often something held, and the Monte Carlo standard error of that."""
    share = float(np.mean(held))
    return {"share": share, "error": float(np.sqrt(share * (1 - share) / len(held)))}


def type_one(n_simulations, n_resamples, seconds, seed=1):
    """Return how often a row as good as the baseline, and any of seven, is called better."""
    random, shifts = np.random.default_rng(seed), {f"row {i}": 1.0 for i in range(8)}
    stop, better = time.perf_counter() + seconds, []
    while len(better) < n_simulations and time.perf_counter() < stop:
        y, scores, patient = draw(random, 200, shifts)
        found = evaluate_scores(
            y, scores, groups=patient, fold=patient // 2 % 5, unit="image", metrics=METRICS,
            baseline="row 0", n_resamples=n_resamples, random_state=len(better),
        )  # fmt: skip
        better.append(found.differences["verdict"].unstack() == "better")
    # Seven rows of one cohort are not seven cohorts, so only the second has an error.
    each = {metric: float(np.mean([part[metric] for part in better])) for metric in METRICS}
    any_row = {metric: share_of([part[metric].any() for part in better]) for metric in METRICS}
    return {"simulations": len(better), "each row": each, "any of seven": any_row}


def main(arguments=None):
    """Run the simulations."""
    parser = make_parser(
        __doc__, out="benchmark-results/coverage.json", quick="a few simulations: measures nothing"
    )
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="most for each part")
    chosen = parser.parse_args(arguments)
    n, draws = (3, 50) if chosen.quick else (chosen.simulations, 2000)
    results = {
        "200 patients": coverage(200, n, draws, chosen.seconds),
        "848 patients": coverage(848, n, draws, chosen.seconds),
        "type I error, 200 patients": type_one(n, draws, chosen.seconds),
    }
    for name, part in results.items():
        print(f"{name}: {part}")
    write_record(chosen.out, {"results": results, "machine": facts(), "versions": versions()})


if __name__ == "__main__":
    main()
