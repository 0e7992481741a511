"""The command `check`: all that can be said of tables and images before anything is trained."""

import textwrap
import warnings

import pandas as pd
from sklearn.base import clone

from .._utils.problems import Problems
from .._utils.progress import progress_bar
from ..datasets import read_cohort
from ..exceptions import ShortcutWarning
from ..images import open_image
from . import _errors as errors
from ._cohort import clinical_transformer, find_leaks, make_folds
from ._command_line import with_guesses, written
from ._guesses import guess_columns
from ._remedies import with_options
from ._tables import cells_of, labels_of, request

_MOST_SHOWN = 60
_NOT_IN_ABLATION = ("no_images", "json", "write_config", "config", "out")


def run(options, output):
    """Check everything, say what was found, and return it for scripts."""
    found = Problems()
    notes, guesses, reading = [], None, None
    with found.collected():
        cells, used, roles = cells_of(options, output)
        labels = labels_of(cells, options)
        guesses = guess_columns(
            cells,
            folder=options.image_folder or _folder_of(options),
            used=used,
            roles=roles,
            target=options.target,
            labels=labels,
        )
    if guesses is not None:
        options = with_guesses(options, guesses.options)
        _say_columns(guesses, output)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with found.collected():
                reading = read_cohort(**request(options, output))
            if reading is not None:
                for error in reading.problems:
                    found.add(error)
                _try_inputs(reading, options, found)
                if not options.no_images:
                    _open_images(reading, options, found)
        notes += [str(warning.message) for warning in caught]
    cohort = None
    if reading is not None and not reading.problems:
        cohort = reading.cohort()
        output.say(textwrap.indent(cohort.DESCR.strip(), "    "))
        _look_for_leaks_and_shortcuts(cohort, options, found, notes, output)
    return _conclude(options, guesses, found, notes, output)


def _say_columns(guesses, output):
    """Say what each undeclared column was taken for."""
    if not guesses.taken:
        return
    output.say("what was not declared was taken for")
    width = min(40, max(len(guess.column) for guess in guesses.taken))
    for guess in guesses.taken:
        output.say(f"    {guess.column:{width}}  {guess.taken_for}: {guess.reason}")


def _try_inputs(reading, options, found):
    """Try the transformer of each input, so that one problem does not hide another."""
    with found.collected():
        transformer = clinical_transformer(reading, options)
        for name, steps, columns in transformer.transformers:
            if name != "image" and set(columns) <= set(reading.data):
                with found.collected():
                    clone(steps).fit(reading.data[columns])


def _open_images(reading, options, found):
    """Open each image once; one that cannot be read is a problem with its row."""
    paths = reading.data["image"] if "image" in reading.data else pd.Series(dtype="str")
    for row, path in progress_bar(paths.dropna().items(), shown=None, desc="opening images"):
        with found.collected():
            open_image(path, row=row, frame=options.frame)


def _look_for_leaks_and_shortcuts(cohort, options, found, notes, output):
    """Look for leaks between folds, and for what tells the labels beside the image."""
    from ..evaluation import audit_shortcuts

    folds = None
    with found.collected():
        folds = make_folds(options, cohort)
    if folds is None or options.no_images or found.errors:
        return
    with found.collected():
        leaks = find_leaks(options, cohort, folds, output)
        if leaks.n_leaking_images:
            notes.append(
                f"{leaks.n_leaking_images} images are in both the training and the test set, under "
                "whatever name; leave one row of each in the table, or give its rows one patient"
            )
    with found.collected(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ShortcutWarning)
        audit = audit_shortcuts(
            cohort.frame, cohort.target, groups=cohort.groups, cv=folds, random_state=options.seed
        )
        output.say(textwrap.indent(audit.DESCR, "    "))
    notes += [str(warning.message) for warning in caught]


def _conclude(options, guesses, found, notes, output):
    """Say the problems, the questions and the command that would run; return the record."""
    questions = guesses.questions if guesses is not None else []
    problems = [with_options(str(error)) for error in found.errors]
    notes = [with_options(note) for note in dict.fromkeys(notes)]
    for title, texts in (("to know", notes), ("to say", questions), ("to mend", problems)):
        if texts:
            output.say(f"\n{title} ({len(texts)})")
        for number, text in enumerate(texts[:_MOST_SHOWN], start=1):
            output.say(textwrap.indent(f"{number}. {text}", "    "))
        if len(texts) > _MOST_SHOWN:
            output.say(f"    and {len(texts) - _MOST_SHOWN} more (--json lists all)")
    line = written("ablation", options.parser, options, left_out=_NOT_IN_ABLATION)
    is_ready = not (questions or problems)
    output.say(f"\n{'the command that runs it' if is_ready else 'the command so far'}\n{line}")
    record = {
        "ready": is_ready,
        "columns": [vars(guess) for guess in guesses.taken] if guesses else [],
        "notes": notes,
        "questions": questions,
        "problems": problems,
        "command": line,
    }
    if not is_ready:
        output.finish({"command": "check", "exit_code": errors.WRONG_DATA} | record)
    return record
