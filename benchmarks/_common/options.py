"""Options that all scripts share."""

import argparse
from pathlib import Path


def make_parser(description, *, out=None, quick=None, seed=None):
    """Make a parser with ``--out``, and ``--quick`` and ``--seed`` where there is help for them."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if quick is not None:
        parser.add_argument("--quick", action="store_true", help=quick)
    if seed is not None:
        parser.add_argument("--seed", type=int, default=0, help=seed)
    if out is not None:
        parser.add_argument("--out", type=Path, default=Path(out), help="default: %(default)s")
    return parser
