"""What a report is written from, and foreign text made fit to be shown."""

import re

import numpy as np

from ._paths import LONGEST, base_names

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_DRIVE = r"(?:[A-Za-z]:|~)?"
# Within quotation marks folders may have spaces, and in a text that is a path and nothing else.
_PATHS = [
    re.compile(rf"(?<=['\"]){_DRIVE}[\\/][^'\"]*[\\/][^'\"]*"),
    re.compile(rf"^{_DRIVE}[\\/][^'\"(){{}}]*[\\/][^'\"(){{}}]*$"),
    re.compile(rf"(?<![\w.]){_DRIVE}(?:[\\/][^\\/'\"\s,;(){{}}<>]+){{2,}}"),
]
# Record numbers may have dots and slashes.
_TOKEN = re.compile(r"[^\s,;()\[\]{}'\"<>=]+")
_WORD = re.compile(r"[\w-]+")
_SHORTEST_RECORD = 4
_LONGEST = 300
WITHHELD = "[withheld]"


class Given:
    """The arguments of `write_report`; `text` is the only way for a foreign text into a report."""

    def __init__(self, evaluation, **others):
        self.evaluation = evaluation
        self.cohort = others["cohort"]
        self.leakage = others["leakage"]
        self.shortcuts = others["shortcuts"]
        self.sites = others["sites"]
        self.gallery = others["gallery"]
        self.settings = dict(others["settings"] or {})
        groups = [evaluation.groups]
        if self.cohort is not None and self.cohort.get("groups") is not None:
            groups.append(self.cohort.groups)
        names = {_plain(name) for some in groups for name in np.unique(np.asarray(some, str))}
        names |= {name.removesuffix(".0") for name in names}
        # Shorter ones are numbers and letters that anything may be called.
        self._records = {name for name in names if len(name) >= _SHORTEST_RECORD}
        self.classes = np.unique(evaluation.y)
        self.is_binary = len(self.classes) == 2

    def text(self, value):
        """Return a text of one line without record numbers, control characters and folders."""
        text = str(value)[:LONGEST].encode("utf-8", "replace").decode()
        text = " ".join(_CONTROL.sub(" ", text).split())
        if _plain(text) in self._records:
            return WITHHELD
        text = _TOKEN.sub(self._without_record, text)
        for path in _PATHS:
            text = path.sub(_without_folders, text)
        text = _WORD.sub(self._without_record, text)
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

    def own_text(self, value):
        """Return a title or a setting fit to be shown: of paths of any form, base names alone."""
        return self.text(base_names(value))

    def _without_record(self, match):
        token = match[0]
        bare = token.strip(".:!?-")
        return token.replace(bare, WITHHELD) if bare and _plain(bare) in self._records else token

    def label(self, label):
        """Return a class as people call it."""
        names = (self.cohort or {}).get("target_names")
        is_number = isinstance(label, int | np.integer) and not isinstance(label, bool)
        if names is not None and is_number and len(names) == len(self.classes):
            return self.text(names[int(label)]) if 0 <= label < len(names) else self.text(label)
        return self.text(label)

    @property
    def rows(self):
        """Names of the rows."""
        return list(self.evaluation.table.index)

    @property
    def main_row(self):
        """The declared row, else the last beside the baseline; never the one that did best.

        Of rows that are inputs and others, such as comparators, it is the last of inputs.
        """
        if self.evaluation.mcnemar is not None:
            return self.evaluation.mcnemar["row"]
        others = [row for row in self.rows if row != self.evaluation.baseline]
        inputs = [row for row in others if self.inputs_of(row) is not None]
        return (inputs or others or self.rows)[-1]

    def inputs_of(self, row):
        """Return the inputs of a row as `cross_val_scores` or a plain list has them, else None."""
        rows = self.settings.get("rows")
        row = rows.get(row) if isinstance(rows, dict) else None
        row = row.get("inputs") if isinstance(row, dict) else row
        return list(row) if isinstance(row, list | tuple) else None

    @property
    def n_patients(self):
        """Number of patients."""
        return len(np.unique(np.asarray(self.evaluation.groups, str)))

    @property
    def patients_of(self):
        """Number of patients with each label."""
        groups = np.asarray(self.evaluation.groups, str)
        return [len(np.unique(groups[self.evaluation.y == label])) for label in self.classes]

    @property
    def is_synthetic(self):
        """Whether the cohort calls itself synthetic."""
        start = str((self.cohort or {}).get("DESCR", ""))[:400]
        return "synthetic" in start.casefold()


def _plain(name):
    """Return a record number in one case and spacing."""
    return " ".join(str(name).split()).casefold()


def _without_folders(match):
    """Return the last part of a path: folders may name a person."""
    return ".../" + re.split(r"[\\/]", match[0])[-1]
