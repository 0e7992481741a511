"""Labels of images, and the classes that they make."""

import re
import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd

from .._utils.cells import is_number_text, whole_text
from .._utils.identity import LOOKALIKES
from .._utils.validation import shown

_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
_NO = (
    r"\b(no|non|not|without|never|free|absence|absent|kein|keine|keinen|nicht|ohne|sans|sin"
    r"|denies|denied|negative|unlikely|r/o|ruled out|excluded)[\s\-:]+"
    r"((evidence|signs?|of|for|any|acute|definite|clear|certain|history|hinweise?|anhalt|auf|für"
    r"|sichere[rs]?)\s+)*"
)
_NO_AT_ONCE = r"([\s\-]*(free|frei)|\s*[=:]\s*(0|no|none|n|nein|false))\b"
_NO_BEHIND = r"[\s\-:,(]+(negative?|excluded|absent|ruled out|ausgeschlossen|negativ)\b"
UNKNOWN = {"unknown", "unk", "unclear", "?", "-", "--", "n.a", "n.d", "n/d", "tbd", "todo"}
UNKNOWN |= {"missing", "not available", "not known", "undetermined", "unbekannt", "unklar", "k.a"}
UNKNOWN |= {"9", "99", "999", "9999", "-9", "-99", "-999", "88", "888"}


# Not through a float: it would make "1.10" of an ontology 1.1, and two long codes one number.
_WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0+)?")
_DECIMAL = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?")


def label_key(label):
    """Return what is equal for labels that differ in spelling only."""
    text = unicodedata.normalize("NFKC", whole_text(label)).translate(_DASHES | LOOKALIKES)
    text = text.casefold()
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    text = re.sub(r"(?<=\w)[-_\s]+(?=\w)", " ", re.sub(r"\s+", " ", text)).strip()
    text = text.strip("\"'`\u2018\u2019\u201c\u201d\u201e ").rstrip(".,;:") or text
    whole = _WHOLE.fullmatch(text)
    return whole[1].removeprefix("+") + whole[2] if whole else text


def read_labels(labels, positive, spellings, declared):
    """Return labels as they came, or 1 where they are `positive`, else 0.

    `declared` returns what one types to declare other options.
    """
    if positive is not None:
        return _binary(labels, positive, declared)
    is_text = pd.api.types.infer_dtype(labels) == "string"
    labels = labels.str.strip() if is_text else labels
    if is_text and all(map(_DECIMAL.fullmatch, labels)):
        found = pd.to_numeric(labels)
        if found.nunique() == labels.str.replace(r"\.0+$", "", regex=True).nunique():
            return found
    groups = _spelling_groups(labels)
    if groups and spellings == "error":
        listed = "; ".join(
            " and ".join(f"{name!r} ({count} rows)" for name, count in group.most_common())
            for group in groups
        )
        raise ValueError(
            f"column {labels.name!r} has labels that differ in spelling only: {listed}; correct "
            f"them, declare {declared(spellings='merge')} to take the most frequent spelling of "
            f"each, or {declared(spellings='keep')} if they are classes of their own"
        )
    if groups and spellings == "merge":
        common = {name: group.most_common(1)[0][0] for group in groups for name in group}
        merged = pd.Series([common.get(label, label) for label in labels], index=labels.index)
        kind = "category" if isinstance(labels.dtype, pd.CategoricalDtype) else labels.dtype
        labels = merged.astype(kind).rename(labels.name)
    return labels


def _spelling_groups(labels):
    """Return the spellings of each label that has several, with their counts."""
    groups = {}
    for label, count in Counter(label for label in labels if isinstance(label, str)).items():
        groups.setdefault(label_key(label), Counter())[label] = count
    return [group for group in groups.values() if len(group) > 1]


def _binary(labels, positive, declared):
    """Return 1 where a label is one of the positive ones, else 0."""
    wanted = list(positive) if isinstance(positive, tuple) else [positive]
    keys = {str(label): label_key(label) for label in labels.unique()}
    matched = {one: {name for name, key in keys.items() if _matches(one, key)} for one in wanted}
    names = set().union(*matched.values())
    is_positive = np.array([str(label) in names for label in labels])
    counts = _counts(labels)
    absent = [one for one in wanted if not matched[one]]
    if absent:
        raise ValueError(
            f"positive={positive!r} is not allowed; {absent[0]!r} is none of the labels "
            f"{_mapping(counts, names)}{_hint(absent[0], keys, declared)}"
        )
    if is_positive.all():
        raise ValueError(
            f"positive={positive!r} is not allowed; every label is positive: "
            f"{_mapping(counts, names)}; name fewer labels, or add images of the other class"
        )
    return pd.Series(is_positive, index=labels.index).astype(np.int64)


def _matches(positive, key):
    """Return whether a label, by its key, is a positive one: exactly, or by a pattern with "*"."""
    parts = label_key(positive).split("*") if "*" in str(positive) else [label_key(positive)]
    return bool(re.fullmatch(".*".join(map(re.escape, parts)), key, re.DOTALL))


def _counts(labels):
    """Return {label: count}, the labels as text, the most frequent first."""
    return dict(Counter(str(label) for label in labels).most_common())


def _mapping(counts, names):
    shown_labels = [f"{name!r}: {int(name in names)} ({n} rows)" for name, n in counts.items()]
    return "{" + ", ".join(shown_labels) + "}"


def _hint(absent, keys, declared):
    """Return the labels that hold a text which is a label of its own nowhere."""
    part = label_key(absent).replace("*", "")
    holding = tuple(name for name, key in keys.items() if part and part in key)
    if not holding:
        return "; give labels as they are in the table, or a pattern with '*'"
    return (
        f"; it is part of {shown(holding, 'label', repr)}: declare {declared(positive=holding)}, "
        f"or a pattern with '*', such as {declared(positive=f'*{absent}*')}"
    )


def describe_labels(labels, positive, target):
    """Return which labels are in which class, for `DESCR`."""
    if positive is None:
        return ", ".join(f"{name} {count}" for name, count in count_classes(target, None).items())
    classes = []
    for value, name in enumerate(count_classes(target, positive)):
        counts = _counts(labels[target == value])
        listed = ", ".join(f"{label!r} {count}" for label, count in counts.items())
        classes.append(f"{value} ({name}): {listed}")
    return "; ".join(classes)


def note_labels(labels, positive, target, column):
    """Return warnings: labels that say that it is not known, and patterns that match a negation."""
    notes, counts = [], _counts(labels)
    keys = {name: label_key(name) for name in counts}
    unknown = [name for name, key in keys.items() if key in UNKNOWN or key.startswith("#")]
    if any(key.startswith("+") for key in keys.values()):
        unknown = [name for name in unknown if set(name) - set("- ")]
    # 88 and 99 may be classes of their own among others like them.
    if not set(keys.values()) - {keys[name] for name in unknown} or _is_row_of_numbers(keys):
        unknown = []
    for name in unknown:
        becomes = "is a class of its own" if positive is None else "counts as not positive"
        is_positive = positive is not None and target[labels.astype(str) == name].any()
        if not is_positive:
            notes.append(
                f"column {column!r} holds the label {name!r} in {counts[name]} of {len(labels)} "
                f"rows, which {becomes}; if it means that the label is not known, leave these rows "
                f"out: table = table[table[{column!r}].astype('str') != {name!r}]"
            )
    for pattern in positive if isinstance(positive, tuple) else [positive]:
        if "*" not in str(pattern):
            continue
        core = re.escape(label_key(pattern).strip("* ").split("*")[0])
        no = rf"{_NO}{core}|\bnon{core}|{core}{_NO_AT_ONCE}|{core}.*{_NO_BEHIND}"
        negated = [
            name for name, key in keys.items() if _matches(pattern, key) and re.search(no, key)
        ]
        if negated:
            rows = sum(counts[name] for name in negated)
            notes.append(
                f"positive={pattern!r} counts {shown(negated, 'label', repr)} of column {column!r} "
                f"as positive, in {rows} of {len(labels)} rows, and they seem to say the opposite; "
                "list the positive labels instead"
            )
    return notes


def _is_row_of_numbers(keys):
    """Return whether labels are numbers without a gap, in which 9 is one as any other."""
    if not all(is_number_text(key) for key in keys.values()):
        return False
    values = sorted({float(key) for key in keys.values()})
    return all(after - before <= 1 for before, after in pairwise(values))


def refuse_conflicts(labels, patients, remedy):
    """Raise ValueError if the images of one patient have different labels."""
    counts = labels.groupby(patients).nunique()
    conflicts = counts.index[counts > 1]
    if len(conflicts):
        raise ValueError(
            f"images of one patient have different labels, for {shown(conflicts, 'patient')}; "
            f"correct the labels, or {remedy} if a label belongs to an image"
        )


def count_classes(labels, positive):
    """Return the number of images of each class, by name, in the order of the classes."""
    if positive is not None:
        name = " or ".join(map(str, positive)) if isinstance(positive, tuple) else str(positive)
        return {f"not {name}": int((labels == 0).sum()), name: int((labels == 1).sum())}
    try:
        return {str(label): int((labels == label).sum()) for label in sorted(labels.unique())}
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(f"labels mix the types {kinds}; give all of them as one type") from error
