"""Options that all benchmarks share."""

import argparse
from pathlib import Path

from _common.options import make_parser as make_base

#: Images as a user has them; they lie beside the checkout where they are present.
REAL_IMAGES = Path(__file__).resolve().parents[3] / "shared" / "data" / "chest_xray" / "images"


def make_parser(name, description, *, repeats, precision=False, images=False):
    """Make a benchmark's parser, with the number format and the image folder where they matter."""
    parser = make_base(
        description,
        out=f"benchmark-results/{name}.json",
        quick="tiny sizes: shows that it runs, measures nothing",
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="measured rounds")
    if precision:
        parser.add_argument(
            "--precision",
            choices=["auto", "fp32", "bf16"],
            default="auto",
            help="auto: fp32, and bf16 too where the processor multiplies it",
        )
    if images:
        parser.add_argument(
            "--images",
            type=Path,
            default=REAL_IMAGES,
            metavar="FOLDER",
            help="real radiographs (default: %(default)s); without enough of them, drawn images",
        )
    # A benchmark calls itself with this to run a part in a fresh process.
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser
