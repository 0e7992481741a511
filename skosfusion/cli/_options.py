"""Options of model, protocol and run."""

from pathlib import Path

from ._table_options import add_table_options

# In an option that is given both in the file and on the command line, with two values, one would
# not know what a study did; but for these, which decide where and how fast it runs.
NOT_DECIDING = frozenset(
    {"out", "jobs", "data_home", "report", "json", "config", "write_config", "configuration"}
)


def add_ablation_options(parser, *, out, positional=True):
    """Add the options of data, model and protocol to the parser of a script."""
    parser.add_argument("--seed", type=int, default=0, help="decides folds and training")
    parser.add_argument("--out", type=Path, default=Path(out), help="default: %(default)s")
    add_table_options(parser, positional=positional)
    parser.add_argument("--patients", type=int, default=848, help="size of the embedded cohort")
    add_model_options(parser)
    add_protocol_options(parser)
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
    add_data_home(run)


def check_ablation_options(parser, options):
    """Refuse what the types of the options let pass."""
    if options.folds < 2:
        parser.error(f"--folds {options.folds}: at least 2 folds are needed")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least 1 is needed")
    if options.patients < 1:
        parser.error(f"--patients {options.patients}: at least 1 is needed")
    check_table_options(parser, options)


def check_table_options(parser, options):
    """Join the ways to name a table, and refuse options that contradict each other."""
    tables = [*(vars(options).pop("tables", None) or []), *(options.image_table or [])]
    options.image_table = tables or None
    for one, other in (
        ("positive_if_present", "positive"),
        ("same_patient", "no_patients"),
        ("folders", "screenshots"),
        ("birth_date", "age_unit"),
    ):
        if getattr(options, one) and getattr(options, other):
            parser.error(f"{_option(one)} and {_option(other)} exclude each other")
    for one, needed in (
        ("birth_date", "date"),
        ("date", "birth_date"),
        ("folders", "image_folder"),
    ):
        if getattr(options, one) and not getattr(options, needed):
            parser.error(f"{_option(one)} needs {_option(needed)}, too")
    if options.folders and tables:
        parser.error(
            "--folders takes the place of an image table; give clinical values with "
            "--clinical-table"
        )
    if not tables and not options.folders:
        alone = _of_own_tables(parser, options)
        if alone:
            parser.error(f"{alone} is about your own tables, and no TABLE is given")


def _of_own_tables(parser, options):
    """Return the first option that was given and means nothing without a table."""
    names = ("clinical_table", "image_folder", "sheet", "clinical_sheet", "column", "kit", "number",
             "category", "one_hot", "keep", "positive", "positive_if_present", "same_patient",
             "no_patients", "suffix", "screenshots", "gender_value", "birth_date",
             "age_unit")  # fmt: skip
    return next((_option(name) for name in names if getattr(options, name)), None)


def _option(name):
    return "--" + name.replace("_", "-")


def add_model_options(parser, *, epochs=50):
    """Add the options of the model."""
    model = parser.add_argument_group("model")
    model.add_argument(
        "--recipe",
        choices=["paper", "robust"],
        default="paper",
        help="the paper's method, or the one that did best on small cohorts (docs/recipe.md)",
    )
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
    model.add_argument("--epochs", type=int, default=epochs, help="default: %(default)s")
    model.add_argument(
        "--batch-size", type=int, default=256, help="a small cohort needs smaller batches to learn"
    )
    model.add_argument(
        "--frozen-epochs",
        default="all",
        type=all_or_number,
        help="first epochs with a fixed encoder, or all; the paper's two stages need a number",
    )
    model.add_argument(
        "--optimizer",
        choices=["sgd", "adam"],
        default="sgd",
        help="the paper names none; sgd, with momentum 0.9, is the classifier's default",
    )
    model.add_argument("--device", default="auto", help="auto, cpu or cuda")
    model.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    model.add_argument(
        "--engine",
        default="auto",
        choices=["auto", "eager", "fused", "compiled"],
        help="what computes the features of a fixed encoder on a processor; they differ in the "
        "last digits (docs/performance.md)",
    )


def all_or_number(text):
    """Read a number of epochs, or "all"."""
    return text if text == "all" else int(text)


def add_protocol_options(parser):
    """Add the options of folds and rows."""
    protocol = parser.add_argument_group("protocol")
    protocol.add_argument("--folds", type=int, default=5, help="default: %(default)s")
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
    protocol.add_argument(
        "--class-weighted",
        action="store_true",
        help="one row more: all inputs, both classes weighing the same in training",
    )


def add_data_home(parser):
    """Add the option that says where expensive things are kept."""
    parser.add_argument(
        "--data-home", metavar="DIR", help="where drawn images, encoders and features are kept"
    )
