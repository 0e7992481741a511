"""The command `check`: all that can be said of tables and images before anything is trained."""

import re
import textwrap
import warnings

import pandas as pd
from sklearn.base import clone

from .._utils.problems import Problems
from .._utils.progress import progress_bar
from ..datasets import load_cohort
from ..images import open_image
from . import _errors as errors
from ._cohort import clinical_transformer, find_leaks, make_folds, unseen_categories
from ._columns import declarations, target_of
from ._command_line import with_guesses, written
from ._configuration import write_configuration
from ._guesses import Guesses, ask_for_positive, guess_columns
from ._layouts import guess_folders, guess_patients_of_folders, guess_sheets, side_by_side
from ._parser import make_parser
from ._remedies import with_options
from ._tables import image_folder, read_tables, request, without_unusable

_MOST_SHOWN = 60
# Of a problem: what is quoted and names no column or table, and the number of the row.
_CELL_OR_ROW = re.compile(r"((?:column|input|sheet|table) '[^']*')|'[^']*'|(?<=row )\d+")
_ONLY_OF_CHECK = ("no_images", "json", "write_config", "config", "configuration")
_NOT_KEPT = (*_ONLY_OF_CHECK, "command")


def run(options, output):
    """Check everything, say what was found, and return it for scripts."""
    parser = make_parser()[1]["ablation"]
    declarations(options), target_of(options)  # options that contradict each other are refused
    found, guesses, tables, cohort = Problems(), Guesses(), None, None
    leaves_out = options.unusable_images == "exclude" and not options.no_images
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with found.collected():
            options = guess_sheets(parser, options, guesses)
            if not {"sheet", "clinical_sheet"} & set(guesses.asked):
                tables = read_tables(options)
        if tables is not None:
            with found.collected():
                options, tables = _guess(parser, options, tables, guesses)
        _say_columns(guesses, output)
        data, inputs = pd.DataFrame(), None
        if tables is not None:
            try:
                arguments = request(options, tables)
                cohort = load_cohort(**arguments)
                if leaves_out:
                    cohort = without_unusable(arguments, cohort, options, output)
                data, inputs = cohort.data, cohort.inputs
            except (OSError, TypeError, ValueError) as error:
                found.add(error)
                data, inputs = getattr(error, "readable", (data, None))
        if inputs is not None:
            _try_inputs(data, inputs, options, found)
        # Where images are left out, those of a cohort have been opened.
        if not options.no_images and not (leaves_out and cohort is not None):
            _open_images(data, options, found)
        if cohort is not None:
            output.say(textwrap.indent(cohort.DESCR.strip(), "    "))
            if "positive" not in guesses.asked:
                _look_for_leaks_and_shortcuts(cohort, options, found, output)
    notes = [str(warning.message) for warning in caught]
    return _conclude(parser, options, guesses, found, notes, output)


def _guess(parser, options, tables, guesses):
    """Guess what the columns are that no option declares; return options and tables."""
    if options.folders:
        options, tables = guess_patients_of_folders(parser, options, tables, guesses)
    named = _guess_columns(options, tables)
    if "image" in named.asked and not options.folders:
        layout = guess_folders(options, tables, guesses)
        if layout is not None:
            return _guess(parser, *layout, guesses)
    guesses.taken += named.taken
    guesses.asked |= named.asked
    return with_guesses(parser, options, named.options), tables


def _guess_columns(options, tables):
    images, clinical = tables
    declared = declarations(options)
    patient = declared.get("patient_id")
    is_named = isinstance(patient, str)
    cells = side_by_side(images, clinical, patient if is_named else "patient_id")
    target = target_of(options)
    # What tells patients apart may be an input, too.
    used = {
        column
        for name, what in declared.items()
        if is_named or name != "patient_id"
        for column in _columns_of(what)
    }
    labels = cells.get(target.column)
    is_given = options.positive_if_present or labels is not None
    if labels is not None and options.positive_if_present:
        labels = labels.notna() & (labels != "")
    of_folders = ("image",) if options.folders else ()
    guesses = guess_columns(
        cells,
        folder=image_folder(options),
        used={*used, *of_folders},
        roles={*declared, *of_folders, *(("target",) if is_given else ())},
        target=target.column,
        labels=labels,
    )
    name = next((g.column for g in guesses.taken if g.taken_for == "labels"), target.column)
    if name in cells and not (options.positive or options.positive_if_present):
        ask_for_positive(cells[name], name, guesses)
    return guesses


def _one_of_each_kind(problems):
    """Return problems, of those that differ in cell and row alone the first with their number."""
    kinds = {}
    for text in problems:
        kinds.setdefault(_CELL_OR_ROW.sub(lambda found: found[1] or "#", text), []).append(text)
    return [
        texts[0]
        if len(texts) == 1
        else f"{texts[0]}\nand {len(texts) - 1} more of this kind (--json lists all)"
        for texts in kinds.values()
    ]


def _missed(guesses, options):
    """Return the columns whose absence is a question already."""
    ours = {"image": "image", "patient_id": "patient_id", "target": options.target}
    return [ours[about] for about in guesses.asked if about in ours]


def _columns_of(declaration):
    if declaration is None:
        return ()
    return (declaration,) if isinstance(declaration, str) else declaration._columns


def _say_columns(guesses, output):
    """Say what each undeclared column was taken for."""
    if not guesses.taken:
        return
    output.say("what was not declared was taken for")
    width = min(40, max(len(str(guess.column)) for guess in guesses.taken))
    for guess in guesses.taken:
        output.say(f"    {guess.column:{width}}  {guess.taken_for}: {guess.reason}")


def _try_inputs(data, inputs, options, found):
    """Try the transformer of each input, so that one problem does not hide another."""
    with found.collected():
        transformer = clinical_transformer(inputs, options)
        for name, steps, columns in transformer.transformers:
            columns = columns if isinstance(columns, list) else [columns]
            # What could not be joined is without any value, and said already.
            is_read = set(columns) <= set(data) and data[columns].notna().any(axis=None)
            if name != "image" and is_read:
                with found.collected():
                    clone(steps).fit(data[columns])


def _open_images(data, options, found):
    """Open each image once; one that cannot be read is a problem with its row."""
    paths = data["image"].dropna() if "image" in data else pd.Series(dtype="str")
    for row, path in progress_bar(list(paths.items()), shown=None, desc="opening images"):
        with found.collected():
            open_image(path, row=row, frame=options.frame)


def _look_for_leaks_and_shortcuts(cohort, options, found, output):
    """Look for leaks between folds, and for what tells the labels beside the image."""
    from ..evaluation import audit_shortcuts

    folds = None
    with found.collected():
        folds = make_folds(options, cohort)
    for text in () if folds is None else unseen_categories(cohort, folds):
        warnings.warn(text, UserWarning, stacklevel=2)
    if folds is None or options.no_images or found.errors:
        return
    with found.collected():
        find_leaks(options, cohort, folds, output)
    with found.collected():
        audit = audit_shortcuts(
            cohort.frame, cohort.target, groups=cohort.groups, cv=folds, random_state=options.seed
        )
        output.say(textwrap.indent(audit.DESCR, "    "))


def _conclude(parser, options, guesses, found, notes, output):
    """Say the problems, the questions and the command that would run; return the record."""
    # What is asked for is missing, too; once is enough.
    asked = tuple(f"no column {name!r} in " for name in _missed(guesses, options))
    errors_ = [str(error) for error in found.errors]
    problems = [with_options(text) for text in errors_ if not text.startswith(asked)]
    notes = [with_options(note) for note in dict.fromkeys(notes)]
    listed = (
        ("to know", notes),
        ("to answer", guesses.questions),
        ("to mend", _one_of_each_kind(problems)),
    )
    for title, texts in listed:
        if texts:
            output.say(f"\n{title} ({len(texts)})")
        for number, text in enumerate(texts[:_MOST_SHOWN], start=1):
            output.say(textwrap.indent(f"{number}. {text}", "    "))
        if len(texts) > _MOST_SHOWN:
            output.say(f"    and {len(texts) - _MOST_SHOWN} more (--json lists all)")
    line = written("ablation", parser, options, left_out=_ONLY_OF_CHECK)
    is_ready = not (guesses.questions or problems)
    if options.write_config is not None:
        told = {name: value for name, value in vars(options).items() if name not in _NOT_KEPT}
        write_configuration(options.write_config, told, "ablation")
        output.say(f"\nwritten, with what was guessed: {options.write_config}")
    output.say(f"\n{'the command that runs it' if is_ready else 'the command so far'}\n{line}")
    return {
        "exit_code": errors.DONE if is_ready else errors.WRONG_DATA,
        "columns": [vars(guess) for guess in guesses.taken],
        "notes": notes,
        "questions": guesses.questions,
        "problems": problems,
        "command_line": line,
    }
