"""Command line of the scripts that cross-validate the paper's rows."""

from _common.options import make_parser as make_base

DESCRIPTION = """\
Cross-validate what each clinical input adds to the image: the rows of the paper's Table 1.

Without options: the embedded synthetic cohort, ResNet18 with a fixed encoder, five folds that keep
patients together, eight rows. Interrupted and run again with the same options, it continues where
it stopped.
"""


def parse(arguments=None):
    """Read the options of the ablation."""
    return parse_with(make_parser(DESCRIPTION, out="ablation-results"), arguments)


def parse_with(parser, arguments):
    """Read the command line, and check what a parser cannot."""
    options = parser.parse_args(arguments)
    if options.folds < 2:
        parser.error(f"--folds {options.folds}: at least 2 folds are needed")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least 1 is needed")
    return options


def make_parser(description, *, out):
    """Make a parser for data, model and protocol."""
    parser = make_base(description, out=out, seed="decides folds and training")
    data = parser.add_argument_group("your own data (default: the embedded synthetic cohort)")
    data.add_argument(
        "--image-table", metavar="FILE", help="CSV or Parquet, one row for each image"
    )
    data.add_argument(
        "--clinical-table",
        metavar="FILE",
        help="one row for each patient; not needed if --image-table has all",
    )
    data.add_argument("--image-folder", metavar="DIR", help="default: the folder of --image-table")
    data.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="your column for image, patient_id, gender or age, as in gender=sex; repeatable",
    )
    data.add_argument(
        "--kit",
        action="append",
        default=[],
        metavar="NAME=VALUE,LOW,HIGH",
        help="a laboratory value and its normal range, as columns or numbers; an end that it "
        "does not have stays empty (crp=CRP,,5); repeatable",
    )
    data.add_argument("--target", default="diagnosis", metavar="COLUMN", help="label column")
    data.add_argument(
        "--positive",
        action="append",
        metavar="LABEL",
        help="the positive label, or a pattern such as 'osteosarcoma*'; repeatable",
    )
    data.add_argument(
        "--na-value", action="append", default=[], metavar="TEXT", help="text that means missing"
    )
    data.add_argument(
        "--label-conflicts",
        choices=["error", "keep"],
        default="error",
        help="a patient with images of both labels: stop, or keep the label of each image",
    )
    data.add_argument(
        "--screenshots", metavar="PATTERN", help="file names to leave out, such as '*shot*'"
    )
    data.add_argument(
        "--unusable-images",
        choices=["error", "exclude"],
        default="error",
        help="files that cannot be read: stop, or leave their rows out and say so",
    )
    data.add_argument(
        "--frame", type=int, help="which image to take of files that hold several, from 0"
    )
    data.add_argument("--patients", type=int, default=848, help="size of the embedded cohort")

    model = parser.add_argument_group("model")
    model.add_argument(
        "--backbone",
        help="a torchvision classification model, or timm:NAME (default: resnet18, the paper's)",
    )
    model.add_argument(
        "--weights",
        default="auto",
        help="auto (ImageNet: torchvision's, else those of the package for machines without a "
        "connection), none, a weights name of torchvision or timm, or a file",
    )
    model.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="default: the size of the weights"
    )
    model.add_argument("--epochs", type=int, default=50)
    model.add_argument(
        "--batch-size", type=int, default=256, help="a small cohort needs smaller batches to learn"
    )
    model.add_argument(
        "--frozen-epochs",
        default="all",
        type=lambda text: text if text == "all" else int(text),
        help="first epochs with a fixed encoder, or all; the paper's two stages need a number",
    )
    model.add_argument(
        "--optimizer",
        choices=["sgd", "adam"],
        default="sgd",
        help="the paper names none; sgd, with momentum 0.9, is the classifier's default",
    )
    model.add_argument("--device", default="auto")
    model.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])

    protocol = parser.add_argument_group("protocol")
    protocol.add_argument("--folds", type=int, default=5)
    protocol.add_argument(
        "--image-wise",
        action="store_true",
        help="split images, not patients: LEAKS, only for comparison",
    )
    protocol.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help="rows of the paper's table by name, or NAME=input+input (NAME= for the image alone)",
    )

    run = parser.add_argument_group("run")
    run.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="fits at a time; 2 is faster beside other programs, 1 on a machine of one's own",
    )
    run.add_argument(
        "--report",
        action="store_true",
        help="also clinical values alone and logistic regression, and a report of all by patient",
    )
    run.add_argument(
        "--data-home", metavar="DIR", help="where drawn images, encoders and features are kept"
    )
    return parser


def pairs(items, option):
    """Split NAME=VALUE options."""
    result = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator:
            raise SystemExit(f"{option} {item!r}: write it as NAME=VALUE")
        result[name.strip()] = value.strip()
    return result
