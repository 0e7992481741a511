"""What the columns of a table may be, guessed from names and cells, as options of the command.

A guess is never used in silence: `skosfusion check` shows each with its reason, and writes the
command line that says so; `skosfusion ablation` reads what is declared alone.
"""

import csv
import io
import re
import shlex
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .._utils.cells import MISSING, spelling
from ._image_guess import guess_image
from ._names import BONES, ROLES, is_time, name_words, role_of

_MOST_CATEGORIES = 20
_FEWEST_NUMBERS = 5
_FEWEST_OF_A_GROUP = 3
_SHOWN_PAIRS = 3
_SHOWN_SAME = 6
_SHOWN_TARGETS = 12
_SHOWN_LABELS = 8
_MONTHS = 12
_YEAR_LAST = r"^(\d{1,2})([./-])(\d{1,2})[./-]\d{4}"
_BINARY = ({"0", "1"}, {"0.0", "1.0"})
_CENSORED = re.compile(r"\s*(?:[<>≤≥]=?\s*\d|[-+]?inf\b)", re.IGNORECASE)
_TELLS_THE_LABEL = 0.98


@dataclass(frozen=True)
class Guess:
    """What a column is taken for, why, and the options that declare it."""

    column: str
    taken_for: str
    reason: str
    options: tuple = ()


@dataclass
class Guesses:
    """All guesses of a table, and what only its owner can say."""

    taken: list = field(default_factory=list)
    asked: dict = field(default_factory=dict)

    @property
    def questions(self):
        """Return what is asked."""
        return list(self.asked.values())

    @property
    def options(self):
        """Return the options of all guesses, each once."""
        options = []
        for guess in self.taken:
            pairs = zip(guess.options[::2], guess.options[1::2], strict=True)
            options += [pair for pair in pairs if pair not in options]
        return options

    def add(self, *what):
        """Add a guess."""
        self.taken.append(Guess(*what))

    def ask(self, about, text):
        """Ask what only the owner of the table can say; one question about each thing."""
        self.asked[about] = text


def guess_columns(cells, *, folder, used=(), roles=(), target=None, labels=None):
    """Guess what the undeclared columns of a table of text are, of several tables side by side.

    `folder` is what image names are relative to, `used` are columns and `roles` our names that are
    declared, `target` is the column of the labels; what tells `labels` alone is no input.
    """
    guesses = Guesses()
    known = {name: _texts(cells[name]) for name in cells.columns}
    groups = _binary_groups(known)
    free = {name: texts for name, texts in known.items() if name not in {target, *used}}
    for name in [name for name, texts in free.items() if texts.isna().all()]:
        guesses.add(name, "left out", "it has no value in any row")
        del free[name]
    roles = set(roles)
    if "image" not in roles:
        guess_image(free, folder, guesses)
    for role in ("patient_id", "gender", "age"):
        if role not in roles:
            _guess_role(role, free, guesses)
    if "patient_id" not in roles and not any(g.taken_for == "patient" for g in guesses.taken):
        _ask_for_patients(cells, free, groups, guesses)
    if "target" not in roles:
        _guess_target(free, guesses)
    _guess_kits(free, guesses)
    for group in groups:
        _guess_one_hot([name for name in group if name in free or name == target], target, free,
                       guesses, labels)  # fmt: skip
    for name, texts in free.items():
        _guess_one(name, texts, guesses, labels)
    return guesses


def _texts(cells):
    """Return cells as text without surrounding white space, NaN where missing."""
    texts = cells.astype("str").str.strip()
    is_missing = [spelling(text) in MISSING for text in texts.fillna("")]
    return texts.mask(cells.isna() | np.array(is_missing, bool))


def _guess_role(role, free, guesses):
    """Find the column that bears a name for one of our inputs, or for the patient."""
    if role in free:
        guesses.add(role, ROLES[role], "it has our name")
        del free[role]
        return
    found = [name for name in free if role_of(name) == role]
    if len(found) > 1:
        guesses.ask(
            f"which {role}",
            f"{', '.join(map(repr, found))} may each be the {ROLES[role]}; say which with --column "
            f"{role}=COLUMN",
        )
    if found:
        name = found[0]
        guesses.add(name, ROLES[role], "by its name", ("--column", f"{role}={name}"))
        del free[name]
    elif role == "age":
        _guess_birth(free, guesses)


def _guess_birth(free, guesses):
    """Find a date of birth where there is no age, and the date to count to."""
    births = [name for name in free if role_of(name) == "birth"]
    if not births:
        return
    dates = [
        name
        for name in free
        if name not in births and is_time(name) and _is_date(free[name])
    ]  # fmt: skip
    if not dates:
        guesses.ask(
            "date",
            f"{births[0]!r} holds dates of birth, and no column has the date of the image; give "
            f"--birth-date {shlex.quote(births[0])} --date COLUMN",
        )
    else:
        options = ("--birth-date", births[0], "--date", dates[0])
        options += _date_format(free[births[0]], free[dates[0]])
        reason = f"a date of birth; the age is that at {dates[0]!r}"
        guesses.add(births[0], "age", reason, options)
        guesses.add(dates[0], "date of the image", "by its name and cells")
        del free[dates[0]]
    del free[births[0]]


def _date_format(*columns):
    """Return the option for dates of which one column alone does not tell days from months."""
    parts = [texts.dropna().str.extract(_YEAR_LAST).dropna() for texts in columns]
    are_unclear = [
        len(found) and max(found[0].astype(int).max(), found[2].astype(int).max()) <= _MONTHS
        for found in parts
    ]
    every = pd.concat(parts)
    if not any(are_unclear) or len(set(every[1])) > 1:
        return ()
    sign = every[1].iloc[0]
    is_day_first = sign == "." or every[0].astype(int).max() > _MONTHS
    if is_day_first:  # nobody writes months first with points
        return ("--date-format", f"%d{sign}%m{sign}%Y")
    is_month_first = every[2].astype(int).max() > _MONTHS
    return ("--date-format", f"%m{sign}%d{sign}%Y") if is_month_first else ()


def _is_date(texts):
    known = texts.dropna()
    pattern = r"\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*"
    return bool(len(known)) and known.str.fullmatch(pattern).mean() > 0.9


def _ask_for_patients(cells, free, groups, guesses):
    """Say that no patient is named, and which columns may tell patients apart."""
    same = [g.column for g in guesses.taken if g.taken_for in ("gender", "age")]
    same += [name for name in free if role_of(name) == "site"]
    same += groups[0] if groups else []
    hint = ""
    values = cells[same].astype("str")
    alike = np.flatnonzero(values.eq(values.shift()).all(axis=1)) if len(same) > 1 else ()
    if len(alike):
        rows = ", ".join(f"{row - 1} and {row}" for row in alike[:_SHOWN_PAIRS])
        more = " and others" if len(same) > _SHOWN_SAME else ""
        hint = (
            f"; {len(alike)} rows agree with the row before (rows {rows}) in "
            f"{', '.join(map(repr, same[:_SHOWN_SAME]))}{more}, as views of one patient do: "
            f"--same-patient {shlex.quote(_listed(same))}"
        )
    guesses.ask(
        "patient_id",
        "no column names the patient, so that folds can leak: give --column patient_id=COLUMN"
        f"{hint}; or say --no-patients, and each image is a patient of its own",
    )


def _listed(names):
    """Return names as an option takes a list of them."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def _guess_target(free, guesses):
    """Find the labels by name; else list what could be labels."""
    if "diagnosis" in free:
        guesses.add("diagnosis", "labels", "it has our name")
        del free["diagnosis"]
        return
    named = [name for name in free if role_of(name) == "target"]
    if len(named) == 1 and free[named[0]].nunique() == 2:
        guesses.add(named[0], "labels", "by its name; it has two values", ("--target", named[0]))
        del free[named[0]]
        return
    two = [
        name
        for name, texts in free.items()
        if texts.nunique() == 2 and texts.notna().all() and not _is_place(name)
    ]
    partly = [
        name
        for name, texts in free.items()
        if texts.isna().any() and (is_time(name) or _is_date(texts))
    ]
    words = []
    if named or two:
        listed = ", ".join(
            map(repr, [*named, *(n for n in two if n not in named)][:_SHOWN_TARGETS])
        )
        words.append(f"--target COLUMN (such as {listed}), with --positive LABEL for texts")
    if partly:
        listed = ", ".join(map(repr, partly[:6]))
        words.append(f"--positive-if-present COLUMN where a value means yes (such as {listed})")
    words = words or ["--target COLUMN", "--positive-if-present COLUMN where a value means yes"]
    guesses.ask("target", f"which column holds the labels? Give {', or '.join(words)}")


def _is_place(name):
    return bool(BONES & set(name_words(name))) or role_of(name) in ("site", "view")


def _guess_kits(free, guesses):
    """Guess laboratory values whose limits are columns of the same name."""
    for name in list(free):
        low, high = f"{name}_low", f"{name}_high"
        if low in free and high in free:
            options = ("--kit", f"{option_name(name)}={name},{low},{high}")
            ours = name in ("alp", "ldh")
            guesses.add(name, "laboratory value", "its limits are there", () if ours else options)
            for part in (name, low, high):
                del free[part]


def _guess_one(name, texts, guesses, labels):
    """Guess a single column that has none of our names."""
    known = texts.dropna()
    if is_time(name) or _is_date(texts):
        guesses.add(name, "kept, no input", "a time or an outcome", ("--keep", name))
    elif role_of(name) in ("site", "view"):
        reason = "it may tell the label by itself: a shortcut"
        guesses.add(name, "kept, no input", reason, ("--keep", name))
    elif _tells(texts, labels):
        guesses.add(name, "not read", "it alone tells the label, as an outcome does")
    elif _is_number(known) and known.nunique() >= _FEWEST_NUMBERS:
        options = ("--number", f"{option_name(name)}={name}")
        if known.str.match(_CENSORED).any():
            options += ("--censored", "limit")
        reason = "numbers; with a normal range, write --kit NAME=COLUMN,LOW,HIGH"
        guesses.add(name, "number", reason, options)
    elif known.nunique() <= _MOST_CATEGORIES and 1 < known.nunique() <= len(known) / 2:
        # An input that nobody asked for may be the outcome under another name.
        reason = f"{known.nunique()} values; --category {option_name(name)}={name} feeds it"
        guesses.add(name, "kept, no input", reason, ("--keep", name))
    else:
        guesses.add(name, "not read", "free text, or a value of its own for each row")


def _is_number(known):
    plain = known.str.replace(_CENSORED, "1", regex=True)
    numbers = pd.to_numeric(plain.str.replace(",", ".", regex=False), errors="coerce")
    return bool(len(known)) and numbers.notna().mean() > 0.9


def _binary_groups(free):
    """Return runs of neighboring columns of 0 and 1 of which no row has two."""
    groups, last = [], None
    names = list(free)
    for position, name in enumerate(names):
        values = set(free[name].dropna())
        if not values or not any(values <= binary for binary in _BINARY):
            continue
        ones = free[name].str.startswith("1", na=False).to_numpy()
        if last == position - 1 and not (groups[-1][1] & ones).any():
            groups[-1][0].append(name)
            np.logical_or(groups[-1][1], ones, out=groups[-1][1])
        else:
            groups.append(([name], ones.copy()))
        last = position
    return [group for group, _ in groups if len(group) >= _FEWEST_OF_A_GROUP]


def _guess_one_hot(group, target, free, guesses, labels):
    """Guess that columns of 0 and 1 are one category, unless they tell the label."""
    if len(group) < _FEWEST_OF_A_GROUP:
        return
    names = [name for name in group if name != target]
    shown = f"{names[0]}, ..., {names[-1]}"
    which = sum((free[name] == "1").to_numpy() * (i + 1) for i, name in enumerate(names))
    if target in group:
        guesses.add(shown, "not read", f"what the labels are not: {target!r} is one of them")
    elif _tells(pd.Series(which).astype("str"), labels):
        guesses.add(shown, "not read", "these columns tell the label, as an outcome does")
    elif sum(role_of(name) == "view" for name in names) > 1:
        guesses.add(shown, "not read", "views, which may tell the label: a shortcut")
    else:
        name = _name_of_group(names)
        options = ("--one-hot", f"{name}={_listed(names)}")
        if (which == 0).any():
            options += ("--one-hot-none", "other")
        guesses.add(shown, "one category", "columns of 0 and 1, at most one a row", options)
    for name in names:
        del free[name]


def _name_of_group(names):
    """Return what columns of 0 and 1 are called together."""
    if np.mean([bool(BONES & set(name_words(name))) for name in names]) > 0.5:
        return "bone"
    common = set.intersection(*(set(name_words(name)) for name in names))
    return "_".join(word for word in name_words(names[0]) if word in common) or (
        f"{option_name(names[0])}_or_other"
    )


def _tells(texts, labels):
    """Return whether the few values of a column nearly tell the labels by themselves."""
    if labels is None or texts.nunique() > _MOST_CATEGORIES:
        return False
    values, labels = texts.fillna("").to_numpy(), np.asarray(labels)
    table = pd.crosstab(values, labels)
    n_wrong = len(values) - table.max(axis=1).sum()
    # To name the larger class is no way to tell.
    n_others = len(values) - table.sum(axis=0).max()
    return bool(n_others and n_wrong <= (1 - _TELLS_THE_LABEL) * n_others)


def ask_for_positive(labels, column, guesses):
    """Ask which label is positive, where they are neither 0 and 1 nor said to be so."""
    known = labels.dropna()
    if known.empty or set(known) <= {"0", "1", "0.0", "1.0"}:
        return
    counts = known.value_counts()
    typed = [f"--positive {shlex.quote(label)} ({n} rows)" for label, n in counts.items()]
    more = f" and {len(typed) - _SHOWN_LABELS} more" if len(typed) > _SHOWN_LABELS else ""
    guesses.ask(
        "positive",
        f"which labels of column {column!r} count as positive? Give one or more of "
        f"{', '.join(typed[:_SHOWN_LABELS])}{more}; a pattern such as 'osteosarcoma*' will do",
    )


def option_name(column):
    """Return a name for a column that the options, and scikit-learn's parameters, take."""
    name = re.sub(r"\W+", "_", str(column).strip()).strip("_").lower()
    name = re.sub(r"_(val|value|wert)$", "", re.sub(r"__+", "_", name))
    return name or "column"
