"""Measure what `evaluate_scores` costs: the paper's cohort with eight rows, and a very large one.

The large cohort has 2,000,000 images of 600,000 patients; give --large to run it, on one core.
"""

import resource
import time

import numpy as np
from _bench import options, report

from skosfusion.evaluation import evaluate_scores


def cohort(n_images, n_patients, n_rows, seed=0):
    """Draw labels, log-odds, patients and folds; each patient has an image."""
    random = np.random.default_rng(seed)
    patient = np.r_[np.arange(n_patients), random.integers(n_patients, size=n_images - n_patients)]
    label = np.arange(n_patients) % 2
    common = random.normal(2.0 * label - 1, 1)[patient]
    scores = {f"row {i}": common + random.normal(size=n_images) for i in range(n_rows)}
    return label[patient], scores, patient, random.integers(5, size=n_patients)[patient]


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_evaluation", __doc__, repeats=1)
    parser.add_argument("--large", action="store_true", help="the large cohort too, in minutes")
    chosen = parser.parse_args(arguments)
    page = report.Report("What an evaluation costs", quick=chosen.quick)
    n_resamples = 20 if chosen.quick else 2000
    sizes = [("2608 images, 8 rows", 2608, 848, 8, None, 6, 1)]
    if chosen.large and not chosen.quick:
        few = ["auc", "log_loss"]
        sizes.append(("2,000,000 images, 2 rows", 2_000_000, 600_000, 2, few, 600, 8))
    for name, n_images, n_patients, n_rows, metrics, seconds, gigabytes in sizes:
        y, scores, groups, fold = cohort(n_images, n_patients, n_rows)
        for unit in ("patient", "image"):
            start = time.perf_counter()
            evaluate_scores(
                y, scores, groups=groups, fold=fold, unit=unit, metrics=metrics,
                baseline="row 0", n_resamples=n_resamples, random_state=0,
            )  # fmt: skip
            page.add(f"{name}, {unit}", time.perf_counter() - start, "s", at_most=seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        page.add(f"{name}, peak memory of the process", peak, "GiB", at_most=gigabytes)
    page.write(chosen.out)


if __name__ == "__main__":
    main()
