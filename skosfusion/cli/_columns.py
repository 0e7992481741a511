"""From the options to declarations of columns, as `load_cohort` takes them."""

import csv

from .. import datasets
from ._errors import UsageError

_GENDERS = "female", "male"


def declarations(options):
    """Return what the options say of the columns: our name to a declaration."""
    columns = pairs(options.column, "--column")
    _refuse_named_patients(options, columns)
    numbers = _given(decimal=options.decimal, censored=options.censored)
    declared = dict(columns)
    if options.suffix:
        declared["image"] = _declare("ImageColumn", columns.get("image"), suffix=options.suffix)
    if options.no_patients:
        declared["patient_id"] = None
    if options.same_patient:
        same_in = split(options.same_patient)
        declared["patient_id"] = datasets.PatientColumn(same_in=same_in)
    values = _genders(options.gender_value)
    if values:
        declared["gender"] = _declare("GenderColumn", columns.get("gender"), values=values)
    age = _age(options, columns, numbers)
    if age is not None:
        declared["age"] = age
    declared |= _kits(options.kit, numbers)
    named = {
        name: _declare("NumberColumn", column, **numbers)
        for name, column in names(options.number, "--number").items()
    }
    named |= {
        name: _declare("CategoryColumn", column)
        for name, column in names(options.category, "--category").items()
    }
    named |= {
        name: _declare("OneHotColumn", tuple(split(text)), **_given(none=options.one_hot_none))
        for name, text in pairs(options.one_hot, "--one-hot").items()
    }
    named |= {
        name: _declare("KeptColumn", column)
        for name, column in names(options.keep, "--keep").items()
    }
    _refuse_twice(options)
    return declared | named


def target_of(options):
    """Return the declaration of the labels."""
    if options.positive_if_present:
        return _declare(
            "TargetColumn",
            options.positive_if_present,
            present=True,
            label_conflicts=options.label_conflicts,
        )
    positive = options.positive
    return datasets.TargetColumn(
        options.target,
        positive=positive[0] if positive and len(positive) == 1 else positive,
        label_conflicts=options.label_conflicts,
    )


def pairs(items, option):
    """Split NAME=VALUE options."""
    result = {}
    for item in items or ():
        name, separator, value = item.partition("=")
        if not separator or not name.strip() or not value.strip():
            raise UsageError(f"{option} {item!r}: write it as NAME=VALUE")
        if name.strip() in result:
            raise UsageError(f"{option} names {name.strip()!r} twice; name it once")
        result[name.strip()] = value.strip()
    return result


def names(items, option):
    """Split options that are NAME=COLUMN, or a column under its own name."""
    return pairs([item if "=" in item else f"{item}={item}" for item in items or ()], option)


def split(text):
    """Split a list at its commas; a part with a comma of its own stands in quotation marks."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True))]


def _given(**options):
    """Return the options that were given; a declaration has defaults of its own."""
    return {name: value for name, value in options.items() if value is not None}


def _declare(kind, *column, **options):
    """Make a declaration; a column that was not named is the one that its kind looks for."""
    column = [] if column == (None,) else column
    return getattr(datasets, kind)(*column, **options)


def _genders(items):
    values = pairs(items, "--gender-value")
    for text, gender in values.items():
        if gender not in _GENDERS:
            raise UsageError(
                f"--gender-value {text}={gender}: {gender!r} is not allowed; allowed: "
                f"{' or '.join(_GENDERS)}, as in --gender-value {text}=female"
            )
    return values


def _age(options, columns, numbers):
    """Return the declaration of ages; None where the defaults do."""
    if options.birth_date:
        if "age" in columns:
            raise UsageError(
                f"--birth-date {options.birth_date} and --column age={columns['age']} exclude each "
                "other; leave one of them out"
            )
        dates = _given(date_format=options.date_format)
        return _declare("AgeColumn", options.birth_date, date=options.date, **dates)
    units = _given(unit=options.age_unit)
    how = numbers | units
    return _declare("AgeColumn", columns.get("age"), **how) if how else None


def _kits(items, numbers):
    kits = {}
    for name, text in pairs(items, "--kit").items():
        parts = split(text)
        if len(parts) != 3:
            raise UsageError(
                f"--kit {name}={text}: write it as NAME=VALUE,LOW,HIGH, as in crp=CRP,,5"
            )
        ends = [_number_or_name(part) for part in parts[1:]]
        kits[name] = datasets.KitColumn(parts[0], *ends, **numbers)
    return kits


def _number_or_name(text):
    if not text:  # an end that the range does not have
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _refuse_named_patients(options, columns):
    """Refuse to be told both where the patients stand, and that they stand nowhere."""
    for option in ("same_patient", "no_patients"):
        if getattr(options, option) and "patient_id" in columns:
            raise UsageError(
                f"--{option.replace('_', '-')} is for tables that name no patient, and --column "
                f"patient_id={columns['patient_id']} names one; leave one of them out"
            )


def _refuse_twice(options):
    """Refuse one name for two inputs."""
    seen = {}
    for option in ("column", "kit", "number", "category", "one_hot", "keep"):
        shown = "--" + option.replace("_", "-")
        items = getattr(options, option)
        read = names if option in ("number", "category", "keep") else pairs
        for name in read(items, shown):
            if name in seen:
                raise UsageError(
                    f"{seen[name]} and {shown} both name {name!r}; give one of them another name"
                )
            seen[name] = shown
