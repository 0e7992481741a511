"""Options that say where the tables are and what their columns mean, the same for all commands."""

_NAMES = "image, patient_id, gender or age"


def add_table_options(parser, *, positional=True):
    """Add the options that declare a user's own tables; `positional` adds TABLE, too."""
    if positional:
        parser.add_argument(
            "tables",
            nargs="*",
            metavar="TABLE",
            help="one row for each image: CSV, Excel (.xlsx, .ods) or Parquet; several are stacked "
            "or joined. Short for --image-table",
        )
    tables = parser.add_argument_group("your own tables")
    tables.add_argument(
        "--image-table", action="append", metavar="FILE", help="the same as TABLE; repeatable"
    )
    tables.add_argument(
        "--clinical-table",
        action="append",
        metavar="FILE",
        help="one row for each patient; not needed if the image table has all; repeatable",
    )
    tables.add_argument(
        "--image-folder", metavar="DIR", help="default: the folder of the first image table"
    )
    tables.add_argument(
        "--folders",
        metavar="NAME/NAME",
        help="no image table: folders below --image-folder say what their images are, as in "
        "diagnosis/patient_id for OS/007/knee.jpg",
    )
    tables.add_argument("--sheet", action="append", help="sheet of the image tables; repeatable")
    tables.add_argument(
        "--clinical-sheet", action="append", metavar="SHEET", help="of the clinical tables"
    )
    tables.add_argument(
        "--separator", metavar="TEXT", help="between the cells of CSV (default: found out)"
    )
    tables.add_argument("--decimal", choices=[".", ","], help="decimal mark (default: found out)")
    tables.add_argument("--encoding", metavar="NAME", help="of CSV, such as cp1252")
    tables.add_argument(
        "--na-value",
        action="append",
        metavar="TEXT",
        help="what else means missing, beside empty cells, NA, NaN, None and null; repeatable",
    )
    _add_inputs(parser)
    _add_others(parser)


def _add_inputs(parser):
    inputs = parser.add_argument_group("inputs of the model")
    inputs.add_argument(
        "--column",
        action="append",
        metavar="NAME=COLUMN",
        help=f"your column for {_NAMES}, as in gender=sex; repeatable",
    )
    inputs.add_argument(
        "--gender-value",
        action="append",
        metavar="TEXT=GENDER",
        help="what a cell means, as in weiblich=female; repeatable",
    )
    inputs.add_argument(
        "--age-unit",
        action="append",
        metavar="TEXT",
        help="what stands behind the digits of ages, such as Jahre, or Monate, which are turned "
        "into years; repeatable",
    )
    inputs.add_argument(
        "--birth-date", metavar="COLUMN", help="in place of ages, with --date: dates of birth"
    )
    inputs.add_argument(
        "--date", metavar="COLUMN", help="dates of the examination, for --birth-date"
    )
    inputs.add_argument(
        "--date-format", metavar="FORMAT", help="how dates are written, such as %%d.%%m.%%Y"
    )
    inputs.add_argument(
        "--kit",
        action="append",
        metavar="NAME=VALUE,LOW,HIGH",
        help="a laboratory value and its normal range, as columns or numbers; an end that it "
        "does not have stays empty (crp=CRP,,5); repeatable",
    )
    inputs.add_argument(
        "--number",
        action="append",
        metavar="NAME=COLUMN",
        help="another column of numbers, such as bmi=BMI; repeatable",
    )
    inputs.add_argument(
        "--category",
        action="append",
        metavar="NAME=COLUMN",
        help="a column of categories, such as view=projection; repeatable",
    )
    inputs.add_argument(
        "--one-hot",
        action="append",
        metavar="NAME=COLUMN,COLUMN,...",
        help="columns of 0 and 1 that are one category, such as site=femur,tibia; repeatable",
    )
    inputs.add_argument(
        "--one-hot-none",
        metavar="TEXT",
        help="rows of --one-hot where no column is 1: error (default), missing, or the name of "
        "their category, such as other",
    )
    inputs.add_argument(
        "--censored",
        choices=["error", "limit"],
        help="values beyond the limits of the assay, such as <5, -inf: stop, or take the limit",
    )
    inputs.add_argument(
        "--missing",
        choices=["impute", "indicator", "error"],
        help="missing values: filled in, filled in and marked as such, or an error",
    )


def _add_others(parser):
    others = parser.add_argument_group("labels, patients and images")
    others.add_argument(
        "--target", default="diagnosis", metavar="COLUMN", help="label column (%(default)s)"
    )
    others.add_argument(
        "--positive",
        action="append",
        metavar="LABEL",
        help="the positive label, or a pattern such as 'osteosarcoma*'; repeatable",
    )
    others.add_argument(
        "--positive-if-present",
        metavar="COLUMN",
        help="in place of --target: positive where this column has a value",
    )
    others.add_argument(
        "--label-conflicts",
        choices=["error", "keep"],
        default="error",
        help="a patient with images of both labels: stop, or keep the label of each image",
    )
    others.add_argument(
        "--same-patient",
        metavar="COLUMN,COLUMN,...",
        help="no patient column: neighboring rows that agree in these are one patient",
    )
    others.add_argument(
        "--no-patients",
        action="store_true",
        help="no patient column: each image is a patient of its own; folds can LEAK",
    )
    others.add_argument(
        "--keep",
        action="append",
        metavar="NAME=COLUMN",
        help="a column that is no input, kept for the report, such as site=hospital; repeatable",
    )
    others.add_argument(
        "--suffix", metavar="TEXT", help="what the names of images lack in the table, such as .png"
    )
    others.add_argument(
        "--screenshots", metavar="PATTERN", help="file names to leave out, such as '*shot*'"
    )
    others.add_argument(
        "--unusable-images",
        choices=["error", "exclude"],
        default="error",
        help="no file, or one that cannot be read: stop, or leave the row out and say so",
    )
    others.add_argument(
        "--frame", type=int, help="which image to take of files that hold several, from 0"
    )
