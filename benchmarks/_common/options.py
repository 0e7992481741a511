"""Options that all benchmarks share."""

import argparse
from pathlib import Path

#: Images as a user has them; they lie beside the checkout where they are present.
REAL_IMAGES = Path(__file__).resolve().parents[3] / "shared" / "data" / "chest_xray" / "images"


def make_parser(name, description, *, repeats, precision=False, images=False):
    """Make a parser with the common options.

    Parameters
    ----------
    name : str
        The benchmark's name; the report is ``benchmark-results/<name>.json`` unless told otherwise.
    description : str
        What the benchmark does.
    repeats : int
        Default number of measured rounds.
    precision : bool, default=False
        Whether the number format can be chosen.
    images : bool, default=False
        Whether the image folder can be chosen.

    Returns
    -------
    argparse.ArgumentParser
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="measured rounds")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmark-results") / f"{name}.json")
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
            help="real radiographs (default: %(default)s); without enough of them, drawn pictures",
        )
    # A benchmark calls itself with this to run a part in a fresh process.
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser
