"""From the remedies of Python, which errors name, to the options of the command."""

import re

# What an error of the library may say, and the option that does the same, in their order.
_OPTIONS = (
    (r"GenderColumn\([^)]*values|gender_spellings|gender.*(?:not|neither)|'female' and 'male'",
     "--gender-value TEXT=female"),
    (r"unknown gender|GenderColumn\([^)]*values", "--na-value TEXT where it means missing"),
    (r"columns=\{'gender'", "--column gender=COLUMN"),
    (r"AgeColumn\(.*unit=", "--age-unit TEXT"),
    (r"columns=\{'age'", "--column age=COLUMN, or --birth-date COLUMN --date COLUMN"),
    (r"columns=\{'image'", "--column image=COLUMN"),
    (r"columns=\{'patient_id'",
     "--column patient_id=COLUMN, or --same-patient COLUMN,COLUMN, or --no-patients"),
    (r"columns=\{'target'", "--target COLUMN"),
    (r"TargetColumn\([^)]*positive|positive=", "--positive LABEL"),
    (r"present=True", "--positive-if-present COLUMN"),
    (r"label_conflicts", "--label-conflicts keep"),
    (r"censored", "--censored limit"),
    (r"decimal=|decimal mark|decimal sign", "--decimal , or --decimal ."),
    (r"KitColumn|normal range|kits", "--kit NAME=VALUE,LOW,HIGH"),
    (r"NumberColumn|numbers=", "--number NAME=COLUMN"),
    (r"CategoryColumn|categories=", "--category NAME=COLUMN"),
    (r"OneHotColumn", "--one-hot NAME=COLUMN,COLUMN"),
    (r"KeptColumn", "--keep NAME=COLUMN"),
    (r"na_values|missing value", "--na-value TEXT"),
    (r"image_folder|image folder|no such image file", "--image-folder DIR"),
    (r"suffix=|no such image file", "--suffix .png"),
    (r"clinical table|clinical_table", "--clinical-table FILE"),
    (r"sheet=|sheets? of", "--sheet NAME"),
    (r"separator|comma-separated", "--separator TEXT"),
    (r"encoding=|UTF-8|codec", "--encoding NAME"),
    (r"date_format", "--date-format FORMAT"),
    (r"(?<!ImageColumn\()missing=", "--missing indicator"),
    (r"ImageColumn\(missing=|no such image file", "--unusable-images exclude"),
    (r"weights=|weights file|ImageNet weights",
     "--weights FILE, --weights none; skosfusion weights list"),
    (r"backbone=", "--backbone NAME"),
    (r"image_size", "--image-size PIXELS"),
    (r"batch_size|batch normalization", "--batch-size N"),
    (r"max_epochs", "--epochs N"),
    (r"frozen_epochs", "--frozen-epochs all"),
    (r"device=", "--device cpu"),
    (r"precision=", "--precision fp32"),
    (r"frame=|several images|multi-page", "--frame N"),
    (r"^image '|\nimage '|image '.*\(row", "--unusable-images exclude"),
    (r"layer=", "--layer NAME"),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), option) for pattern, option in _OPTIONS)
_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
_SHOWN = 6


def with_options(text):
    """Return a message with a line below it that names the options it is about, if any."""
    text = _ERROR_NUMBER.sub("", text)
    found = [option for pattern, option in _PATTERNS if pattern.search(text)]
    # What is named already need not be named again.
    found = [option for option in dict.fromkeys(found) if option.split()[0] not in text]
    if not found:
        return text
    return f"{text}\noptions for this: {'; '.join(found[:_SHOWN])}"
