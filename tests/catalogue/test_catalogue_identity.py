"""What a user gets when two record numbers, or two images, are the same and do not look it."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.model_selection import LeaveOneGroupOut

from skosfusion import check_leakage
from skosfusion.datasets import PatientColumn, load_cohort
from skosfusion.exceptions import LeakageWarning

PAIRS = {
    "case": ("P001", "p001"),
    "zeros": ("007", "7"),
    "decimal": ("17", "17.0"),
    "width": ("P001", "\uff30\uff10\uff10\uff11"),
    "accent": ("M\u00fcller", "Mu\u0308ller"),
    "hyphen": ("P-001", "P001"),
    "invisible": ("P001", "P001\u200b"),
    "space": ("P 001", "P001"),
    "wrong encoding": ("P\u2019001", "P\u00e2\u20ac\u2122001"),
}
OTHERS = ("Q2", "Q3")


def tables(folder, pair):
    records = [*pair, *OTHERS]
    images = pd.DataFrame({"image": [f"{i}.png" for i in range(4)], "patient_id": records})
    for row, name in enumerate(images["image"]):
        pixels = np.random.default_rng(row).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return images.assign(diagnosis=[0, 0, 1, 1])


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return call(*args, **options)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_case_95_spellings_of_a_record_number_are_a_warning(tmp_path, pair):
    """Record numbers that differ in spelling only: LeakageWarning with the pairs, none merged."""
    table = tables(tmp_path, pair)
    with pytest.warns(LeakageWarning, match="same but for spelling.*1 pair") as caught:
        cohort = load_cohort(table, image_folder=tmp_path)
    assert len(caught) == 1
    assert len(set(cohort.groups)) == 4
    folds = LeaveOneGroupOut()
    with pytest.warns(LeakageWarning, match="same but for spelling.*1 pair") as caught:
        found = check_leakage(cohort.frame, cohort.groups, folds, verbose=0)
    assert len(caught) == 1
    assert found.leaks
    assert found.patient_spellings.to_numpy().tolist() == [[*pair, True]]
    assert "patients that differ in spelling only: 1 pair" in found.DESCR
    with pytest.raises(ValueError, match="1 pair"):
        check_leakage(cohort.frame, cohort.groups, folds, on_leak="error", verbose=0)


def test_case_95_remedies_of_spellings_work(tmp_path):
    """One spelling in all rows, or `spellings="keep"` as the warning names it: no warning."""
    table = tables(tmp_path, PAIRS["hyphen"])
    with pytest.warns(LeakageWarning) as caught:
        cohort = load_cohort(table, image_folder=tmp_path)
    columns = re.search(r"use columns=(\{.*\})$", str(caught[0].message))[1]
    allowed = eval(columns, {"PatientColumn": PatientColumn})  # noqa: S307
    assert len(set(quietly(load_cohort, table, image_folder=tmp_path, columns=allowed).groups)) == 4
    with pytest.warns(LeakageWarning, match=r"use spellings='keep'$"):
        check_leakage(cohort.frame, cohort.groups, verbose=0)
    found = quietly(check_leakage, cohort.frame, cohort.groups, spellings="keep", verbose=0)
    assert not found.leaks
    assert len(found.patient_spellings) == 1
    table["patient_id"] = table["patient_id"].replace({"P-001": "P001"})
    cohort = quietly(load_cohort, table, image_folder=tmp_path)
    assert not quietly(check_leakage, cohort.frame, cohort.groups, verbose=0).leaks


def test_case_95_spellings_in_the_clinical_table_are_found(tmp_path):
    """A second spelling in the clinical table: LeakageWarning; the only one: ValueError."""
    images = tables(tmp_path, ("P001", "P002"))
    records = images[["patient_id"]].assign(age=[10, 11, 12, 13])
    twice = pd.concat([records, pd.DataFrame({"patient_id": ["p-001"], "age": [14]})])
    with pytest.warns(LeakageWarning, match="'P001' and 'p-001'"):
        load_cohort(images, twice, image_folder=tmp_path)
    other = records.replace({"P001": "p-001"})
    with pytest.raises(ValueError, match=r"no record for 1 patient.*'P001' and 'p-001'.*one way"):
        load_cohort(images, other, image_folder=tmp_path)


def test_case_95_sound_record_numbers_give_no_warning(tmp_path):
    """Record numbers that are different: no warning."""
    cohort = quietly(load_cohort, tables(tmp_path, ("P1", "P10")), image_folder=tmp_path)
    found = quietly(check_leakage, cohort.frame, cohort.groups, LeaveOneGroupOut(), verbose=0)
    assert found.patient_spellings.empty
    assert found.near_images.empty
