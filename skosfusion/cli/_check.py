"""The command `check`: all that can be said of tables and images before anything is trained."""

import os
import textwrap
import warnings

import pandas as pd
from sklearn.base import clone

from .._utils.problems import Problems
from .._utils.progress import progress_bar
from ..datasets import load_cohort
from ..images import open_image
from . import _errors as errors
from ._cohort import clinical_transformer, find_leaks, make_folds
from ._columns import declarations, target_of
from ._command_line import with_guesses, written
from ._guesses import Guesses, guess_columns
from ._parser import make_parser
from ._remedies import with_options
from ._tables import request, sources

_MOST_SHOWN = 60
_ONLY_OF_CHECK = ("no_images", "json", "write_config", "config", "configuration")


def run(options, output):
    """Check everything, say what was found, and return it for scripts."""
    parser = make_parser()[1]["ablation"]
    found, guesses = Problems(), Guesses()
    with found.collected():
        guesses = _guess(options)
        options = with_guesses(parser, options, guesses.options)
    _say_columns(guesses, output)
    cohort = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            cohort = load_cohort(**request(options, output))
            data, inputs = cohort.data, cohort.inputs
        except (OSError, TypeError, ValueError) as error:
            found.add(error)
            data, inputs = getattr(error, "readable", (pd.DataFrame(), None))
        if inputs is not None:
            _try_inputs(data, inputs, options, found)
        if not options.no_images:
            _open_images(data, options, found)
        if cohort is not None:
            output.say(textwrap.indent(cohort.DESCR.strip(), "    "))
            _look_for_leaks_and_shortcuts(cohort, options, found, output)
    notes = [str(warning.message) for warning in caught]
    return _conclude(parser, options, guesses, found, notes, output)


def _guess(options):
    """Guess what the columns of the tables are that no option declares."""
    if options.folders:
        return Guesses()
    paths = [*(options.image_table or []), *(options.clinical_table or [])]
    tables = sources(options)
    cells = pd.concat([table.reset_index(drop=True) for table in tables], axis=1)
    cells = cells.loc[:, ~cells.columns.duplicated()]
    declared = declarations(options)
    target = target_of(options)
    used = {name for what in declared.values() for name in _columns_of(what)}
    is_given = options.positive_if_present or options.target in cells
    return guess_columns(
        cells,
        folder=options.image_folder or os.path.dirname(paths[0]) or ".",
        used=used,
        roles={*declared, *(("target",) if is_given else ())},
        target=target.column,
        labels=cells[target.column] if is_given and target.positive is not None else None,
    )


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
            if name != "image" and set(columns) <= set(data):
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
    problems = [with_options(str(error)) for error in found.errors]
    notes = [with_options(note) for note in dict.fromkeys(notes)]
    listed = (("to know", notes), ("to answer", guesses.questions), ("to mend", problems))
    for title, texts in listed:
        if texts:
            output.say(f"\n{title} ({len(texts)})")
        for number, text in enumerate(texts[:_MOST_SHOWN], start=1):
            output.say(textwrap.indent(f"{number}. {text}", "    "))
        if len(texts) > _MOST_SHOWN:
            output.say(f"    and {len(texts) - _MOST_SHOWN} more (--json lists all)")
    line = written("ablation", parser, options, left_out=_ONLY_OF_CHECK)
    is_ready = not (guesses.questions or problems)
    output.say(f"\n{'the command that runs it' if is_ready else 'the command so far'}\n{line}")
    return {
        "exit_code": errors.DONE if is_ready else errors.WRONG_DATA,
        "columns": [vars(guess) for guess in guesses.taken],
        "notes": notes,
        "questions": guesses.questions,
        "problems": problems,
        "command_line": line,
    }
