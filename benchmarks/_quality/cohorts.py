"""The data sets of the comparison, and what is to be said of each."""

import os

import pandas as pd
from sklearn.utils import Bunch

from skosfusion.datasets import KitColumn, TargetColumn, load_cohort, make_osteosarcoma_cohort

_CONFOUNDED = (
    "small and confounded: labels follow the hospital, the projection and the ward more than the "
    "disease, so no figure here is a medical result"
)
_SYNTHETIC = (
    "SYNTHETIC: drawn radiographs and drawn clinical values, a test bed for the software; no "
    "figure here is medical"
)
_UNUSED = {"alp": None, "ldh": None}
# Textbook ranges.
CHEST_KITS = {
    "saturation": ("pO2_saturation", 95, 100),
    "lymphocytes": ("lymphocyte_count", 1.0, 4.0),
    "neutrophils": ("neutrophil_count", 2.0, 7.5),
    "temperature": ("temperature", 36.1, 37.2),
}
HANNOVER_KITS = {
    "ldh": ("ldh_val", None, 248),
    "crp": ("crp_val", None, 5),
    "d_dimer": ("d-dimer_val", 0, 0.5),
    "factor_xii": ("factor_xii_val", 70, 140),
    "neutrophils": ("neutrophils_val", 1.5, 7.7),
    "lymphocytes": ("lymphocytes_val", 1.1, 4.0),
}


def load(name, options):
    """Load one data set: table, labels, patients, inputs, and what is to be said of it.

    Raises FileNotFoundError where it is not there.
    """
    cohort, title, caveat = _LOADERS[name](options)
    inputs = [one for one in ("gender", "age") if one in cohort.data] + list(cohort.kits)
    if name == "embedded_age":
        inputs = ["age"]
    return Bunch(
        name=name,
        title=title,
        caveat=caveat,
        data=cohort.data,
        target=cohort.target,
        groups=cohort.groups,
        kits=cohort.kits,
        inputs=tuple(inputs),
        is_synthetic=caveat is _SYNTHETIC,
    )


def _chest_xray(options):
    folder = _folder(options, "chest_xray")
    target = TargetColumn("finding", positive="*COVID-19*", label_conflicts="keep")
    columns = {"image": "filename", "patient_id": "patientid", "gender": "sex", "target": target}
    cohort = load_cohort(
        folder / "metadata.csv",
        image_folder=folder / "images",
        columns=_UNUSED | columns | _declared(CHEST_KITS),
    )
    return cohort, "chest radiographs, COVID-19 or another finding (Cohen et al. 2020)", _CONFOUNDED


def _hannover(options):
    folder = _folder(options, "hannover")
    table = pd.read_csv(folder / "data.csv", dtype=str)
    table["file"] = table["image_id"] + ".png"
    table["care"] = table["icu_admission_offset"].notna().map({True: "intensive", False: "ward"})
    target = TargetColumn("care", positive="intensive", label_conflicts="keep")
    # Ages are redacted: the column is empty.
    columns = {"image": "file", "gender": "sex", "age": None, "target": target}
    cohort = load_cohort(
        table,
        image_folder=folder / "images",
        columns=_UNUSED | columns | _declared(HANNOVER_KITS),
    )
    return cohort, "chest radiographs, intensive care (Winther et al., CC BY 3.0)", _CONFOUNDED


def _declared(kits):
    """Declare kits whose values may be beyond the limits of the assay.

    Those of an assay are the same for all rows, so that they are taken from the whole column.
    """
    return {name: KitColumn(*kit, censored="limit") for name, kit in kits.items()}


def _folder(options, name):
    folder = options.data / name
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; --data DIR says where it is")
    return folder


def _embedded(options):
    cohort = make_osteosarcoma_cohort(
        n_patients=options.patients, data_home=options.data_home, n_jobs=os.cpu_count()
    )
    return cohort, f"embedded cohort of {options.patients} drawn patients", _SYNTHETIC


def _embedded_age(options):
    cohort, title, caveat = _embedded(options)
    return cohort, f"{title}, of the clinical values the age alone", caveat


_LOADERS = {
    "chest_xray": _chest_xray,
    "hannover": _hannover,
    "embedded": _embedded,
    "embedded_age": _embedded_age,
}
