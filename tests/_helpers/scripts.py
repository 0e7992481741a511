"""The scripts of `benchmarks/`, which find their parts in the folder they lie in."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import ablation  # noqa: E402, F401
import interpretability  # noqa: E402, F401
from ablation_support import data, protocol, report, units  # noqa: E402, F401
from ablation_support.options import parse  # noqa: E402, F401
from interpretability_support import measures  # noqa: E402, F401
