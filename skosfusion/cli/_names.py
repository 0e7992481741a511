"""What hospitals call the columns of their tables."""

import re
import unicodedata

ROLES = {"patient_id": "patient", "gender": "gender", "age": "age"}

_NAMES = {
    "patient_id": {
        "patient", "patient id", "patientid", "patient number", "patient no", "record", "record id",
        "mrn", "subject", "subject id", "case", "case id", "pid", "patientennummer", "patienten id",
        "patientenid", "patient nr", "patientennr", "fallnummer", "fall id", "pat id", "pat nr",
        "numéro patient", "paciente", "id paciente", "paziente", "病人", "病人id", "患者", "患者id",
        "住院号", "病历号", "编号",
    },
    "gender": {"gender", "sex", "geschlecht", "sexe", "sexo", "genre", "sesso", "cinsiyet", "性别",
               "性別"},
    "age": {"age", "age years", "age at exam", "alter", "alter jahre", "âge", "edad", "età", "yaş",
            "年龄", "年齡", "年齢"},
    "birth": {"birth", "date of birth", "birth date", "birthdate", "birthday", "dob",
              "geburtsdatum", "geburtstag", "geb datum", "gebdatum", "date de naissance",
              "fecha de nacimiento", "出生日期", "生年月日"},
    "target": {"diagnosis", "label", "target", "class", "outcome", "y", "diagnose", "finding",
               "befund", "diagnóstico", "diagnostic", "ground truth", "诊断"},
    "site": {"site", "center", "centre", "hospital", "location", "scanner", "device", "klinik",
             "zentrum", "standort", "manufacturer", "modality", "gerät", "医院"},
    "view": {"view", "projection", "position", "laterality", "side", "seite", "projektion",
             "frontal", "lateral", "oblique", "anteroposterior"},
}  # fmt: skip
BONES = {
    "hand", "wrist", "ulna", "radius", "forearm", "elbow", "humerus", "shoulder", "clavicle",
    "scapula", "foot", "ankle", "tibia", "fibula", "knee", "femur", "hip", "pelvis", "sacrum",
    "spine", "rib", "skull",
}  # fmt: skip
# Times, and what is known only after the image.
_TIMES = {
    "date", "time", "datum", "day", "days", "offset", "admission", "release", "discharge", "death",
    "died", "survival", "followup", "icu", "intubated", "ventilated", "outcome", "recurrence",
    "metastasis", "aufnahme", "entlassung", "日期", "时间",
}  # fmt: skip


def name_words(name):
    """Return the words of a column's name, in small letters."""
    text = unicodedata.normalize("NFKC", str(name))
    text = re.sub(r"[(\[].*?[)\]]", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).casefold()
    return re.findall(r"[^\W_]+", text)


def role_of(name):
    """Return what a column's name says that it is, or None."""
    text = " ".join(name_words(name))
    return next((role for role, names in _NAMES.items() if text in names), None)


def is_time(name):
    """Return whether a column's name says that it is a time, or what came later."""
    words = name_words(name)
    return bool(_TIMES & set(words)) or any(word.endswith("datum") for word in words)
