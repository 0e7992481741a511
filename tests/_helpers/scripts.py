"""The scripts of `benchmarks/`, which find their parts in the folder they lie in."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import ablation  # noqa: E402, F401
import interpretability  # noqa: E402, F401
import quality  # noqa: E402, F401
from _interpretability import measures  # noqa: E402, F401
from _quality import absent, cohorts, drawing, folds, methods, statistics, truth  # noqa: E402, F401
