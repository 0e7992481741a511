"""Parts of the stress scripts; they use those of the benchmarks, one folder up."""

import sys
from pathlib import Path

_BENCHMARKS = str(Path(__file__).resolve().parents[2])
if _BENCHMARKS not in sys.path:
    sys.path.append(_BENCHMARKS)
