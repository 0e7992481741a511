"""The command line: commands, their options and their help. Nothing here loads torch."""

import argparse
from typing import NamedTuple

from .._utils.validation import did_you_mean
from ._errors import EXIT_CODES, UsageError
from ._options import (
    add_ablation_options,
    add_data_home,
    add_model_options,
    check_ablation_options,
    check_table_options,
)
from ._table_options import add_table_options

_DESCRIPTION = """\
Late fusion of radiographs and clinical values: what each laboratory value adds to the image, a
model to keep, its predictions and what it looks at.
"""
_EXAMPLES = """\
examples:
  skosfusion check table.csv --image-folder images
      begin here: what is wrong with your tables, and the command that would run
  skosfusion ablation
      the embedded synthetic cohort: that it works here, and what the result looks like
  skosfusion ablation table.csv --image-folder images --target finding --positive 'osteosarcoma*' \\
      --report
  skosfusion fit table.csv --target finding --positive osteosarcoma --model model.safetensors
  skosfusion predict model.safetensors new.csv --out predictions.csv
  skosfusion COMMAND --help
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors, and whose help keeps its lines."""

    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message):
        """Raise UsageError, with the way to the help."""
        raise UsageError(
            f"{message}\n(skosfusion {self.prog.partition(' ')[2]} --help lists all "
            "options)".replace("skosfusion  ", "skosfusion ")
        )

    def option_names(self):
        """List the options as they are typed."""
        return [text for action in self._actions for text in action.option_strings]

    def destinations(self):
        """Return the actions by the names under which their values are kept."""
        left_out = (argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction)
        return {a.dest: a for a in self._actions if not isinstance(a, left_out)}


class Command(NamedTuple):
    """A command: where its code is, what it does, and its options."""

    module: str
    summary: str
    description: str
    examples: str
    add_options: object
    check: object = None
    takes_a_model: bool = False


def _add_ablation(parser):
    add_ablation_options(parser, out="ablation-results")


def _add_fit(parser):
    parser.add_argument("--model", metavar="FILE", help="where the model is kept (.safetensors)")
    parser.add_argument("--seed", type=int, default=0, help="decides the training")
    add_table_options(parser)
    parser.add_argument("--patients", type=int, default=848, help="size of the embedded cohort")
    add_model_options(parser)
    run = parser.add_argument_group("run")
    run.add_argument(
        "--inputs",
        nargs="+",
        metavar="NAME",
        help="the inputs to use beside the image (default: all there are; none: the image alone)",
    )
    run.add_argument(
        "--ablation",
        metavar="DIR",
        help="results of skosfusion ablation with the same options: the model has the inputs of a "
        "row, and is recalibrated by the scores of that row out of fold",
    )
    run.add_argument("--row", metavar="ROW", help="of --ablation (default: All, else its last)")
    add_data_home(run)


def _check_fit(parser, options):
    if options.row and not options.ablation:
        parser.error("--row needs --ablation, too")
    if not options.model:
        parser.error("--model FILE is needed: where the model is kept")
    if options.patients < 1:
        parser.error(f"--patients {options.patients}: at least 1 is needed")
    check_table_options(parser, options)


def _add_predict(parser):
    parser.add_argument("model", metavar="MODEL", help="a file that fit has written")
    parser.add_argument(
        "--out", metavar="FILE", default="predictions.csv", help="default: %(default)s"
    )
    add_table_options(parser)
    run = parser.add_argument_group("run")
    run.add_argument("--device", default=None, help="auto, cpu or cuda (default: as fitted)")
    add_data_home(run)


def _add_explain(parser):
    parser.add_argument("model", metavar="MODEL", help="a file that fit has written")
    parser.add_argument("--out", metavar="DIR", default="explanations", help="default: %(default)s")
    add_table_options(parser)
    explain = parser.add_argument_group("heatmaps")
    explain.add_argument(
        "--kind",
        choices=["overlay", "raw", "both"],
        default="overlay",
        help="on the image, or the heatmap alone as gray values (default: %(default)s)",
    )
    explain.add_argument(
        "--method",
        default="gradcam",
        choices=["gradcam", "gradcam++", "hirescam", "ablationcam"],
        help="default: %(default)s",
    )
    explain.add_argument("--layer", help="of the encoder; default: its last feature map")
    explain.add_argument(
        "--explain-label", metavar="LABEL", help="the class to explain (default: the predicted one)"
    )
    run = parser.add_argument_group("run")
    run.add_argument("--device", default=None, help="auto, cpu or cuda (default: as fitted)")
    add_data_home(run)


def _check_tables(parser, options):
    check_table_options(parser, options)
    if not options.image_table and not options.folders:
        parser.error("no TABLE is given: one row for each image")


def _check_check(parser, options):
    check_ablation_options(parser, options)
    _check_tables(parser, options)


def _add_weights(parser):
    parser.add_argument(
        "action",
        choices=["list", "verify"],
        metavar="list|verify",
        help="list: what this machine has; verify: compare digests, too",
    )


def _add_check(parser):
    add_ablation_options(parser, out="ablation-results")
    parser.add_argument("--no-images", action="store_true", help="tables only: no image is opened")


COMMANDS = {
    "check": Command(
        "_check",
        "all problems of tables and images at once, and the command line that would run",
        """\
Read tables and images, and train nothing. Says what each column was taken for, which label becomes
which class, what is missing, what leaks, what tells the labels beside the image, and all that is
wrong, by row and column. At the end stands the command line that would run. It takes the options
of `skosfusion ablation`; what they leave open is guessed, and each guess is shown.
""",
        """\
examples:
  skosfusion check table.csv --image-folder images
  skosfusion check data.csv --positive-if-present icu_admission_offset --label-conflicts keep
  skosfusion check images.csv --clinical-table records.xlsx --no-images
""",
        _add_check,
        _check_check,
    ),
    "ablation": Command(
        "_ablation",
        "what each clinical input adds to the image, cross-validated by patient",
        """\
Cross-validate what each clinical input adds to the image: the rows of the paper's Table 1.

Without a table: the embedded synthetic cohort, ResNet18 with a fixed encoder, five folds that keep
patients together, eight rows. Interrupted and run again with the same options, it continues where
it stopped.
""",
        """\
examples:
  skosfusion ablation --patients 150 --image-size 64 --folds 3
  skosfusion ablation table.csv --image-folder images --target finding --positive 'osteosarcoma*'
  skosfusion ablation data.csv --image-folder images --column image=image_id --suffix .png \\
      --column gender=sex --kit ldh=ldh_val,,248 --kit crp=crp_val,,5 --censored limit \\
      --positive-if-present icu_admission_offset --label-conflicts keep --report
  skosfusion ablation --config study.toml --out again
""",
        _add_ablation,
        check_ablation_options,
    ),
    "fit": Command(
        "_fit",
        "fit a model on all rows, and keep it in a file",
        "Fit the model on all images of a table, and keep it in a file without pickle.\n",
        """\
examples:
  skosfusion fit table.csv --target finding --positive osteosarcoma --model model.safetensors
  skosfusion fit --config study.toml --recipe robust --model model.safetensors
  skosfusion fit --config study.toml --ablation ablation-results --model model.safetensors
  skosfusion fit --patients 60 --weights none --model trial.safetensors
""",
        _add_fit,
        _check_fit,
    ),
    "predict": Command(
        "_predict",
        "probabilities of new images and patients, as CSV",
        """\
Predict from a table: one line for each image, with its probability and label, its patient and what
all images of the patient say together (the mean of the log-odds). No labels are needed. Images are
read a batch at a time.
""",
        """\
examples:
  skosfusion predict model.safetensors new.csv --out predictions.csv
  skosfusion predict model.safetensors --config study.toml --image-table new.csv
""",
        _add_predict,
        _check_tables,
        takes_a_model=True,
    ),
    "explain": Command(
        "_explain",
        "heatmaps of where the model finds evidence, as PNG",
        """\
Write a heatmap for each image, of the size of the original, and a CSV index of them. File names are
numbers: they never hold record numbers. Where a model looks says nothing of whether it is right.
""",
        """\
examples:
  skosfusion explain model.safetensors new.csv --out explanations
  skosfusion explain model.safetensors new.csv --kind both --explain-label 1
""",
        _add_explain,
        _check_tables,
        takes_a_model=True,
    ),
    "weights": Command(
        "_weights",
        "which encoders and weight files this machine has",
        """\
List the encoders and files of weights that this machine has, with sizes and SHA-256 digests, and
say what a machine without a connection needs. Nothing is downloaded.
""",
        """\
examples:
  skosfusion weights list
  skosfusion weights verify --json
""",
        _add_weights,
    ),
}


def make_parser():
    """Make the parser of all commands, and return it with those of the commands."""
    parser = Parser(prog="skosfusion", description=_DESCRIPTION, epilog=_EXAMPLES + "\n"
                    + EXIT_CODES)  # fmt: skip
    parser.add_argument("--version", action="store_true", help="say the version, and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    made = {}
    for name, command in COMMANDS.items():
        made[name] = one = commands.add_parser(
            name,
            help=command.summary,
            description=command.description,
            epilog=f"{command.examples}\n{EXIT_CODES}",
        )
        command.add_options(one)
        add_common_options(one)
    return parser, made


def explicit_options(command, arguments, *, positionals=True):
    """Return the options that some arguments name, without any default."""
    parser = Parser(prog=f"skosfusion {command}")
    COMMANDS[command].add_options(parser)
    add_common_options(parser)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    if not positionals:
        parser._actions = [action for action in parser._actions if action.option_strings]
    return vars(parser.parse_args(arguments))


def joined(options):
    """Return options with both ways to name a table as one."""
    options = dict(options)
    tables = [*(options.pop("tables", None) or []), *(options.pop("image_table", None) or [])]
    return options | ({"image_table": tables} if tables else {})


def add_common_options(parser):
    """Add what all commands have."""
    common = parser.add_argument_group("configuration and output")
    common.add_argument(
        "--config",
        metavar="FILE",
        help="TOML with options by the same names, such as image-size = 224; paths in it are "
        "relative to it",
    )
    common.add_argument(
        "--write-config", metavar="FILE", help="keep the options of this run in such a file"
    )
    common.add_argument(
        "--json", action="store_true", help="one JSON object on standard output, for scripts"
    )


def unknown_arguments(parser, extras):
    """Return the error for arguments that no option of the command takes."""
    hints = [did_you_mean(one.partition("=")[0], parser.option_names()) for one in extras]
    hint = next(filter(None, hints), "")
    if not hint and not extras[0].startswith("-"):
        hint = "tables stand before the options, or after --image-table"
    return f"unknown: {' '.join(extras)}" + (f"; {hint}" if hint else "")
