"""Exports as hospitals and public sets have them, drawn small: tables, sheets, folders."""

import numpy as np
import pandas as pd
from PIL import Image

BONES = ["hand", "ulna", "radius", "humerus", "foot", "tibia", "fibula", "femur", "hip bone"]
JOINTS = ["ankle-joint", "knee-joint", "hip-joint", "wrist-joint", "elbow-joint", "shoulder-joint"]
KINDS = [
    "osteochondroma", "multiple osteochondromas", "simple bone cyst", "giant cell tumor",
    "osteofibroma", "synovial osteochondroma", "other bt", "osteosarcoma", "other mt",
]  # fmt: skip
LIMBS = ["upper limb", "lower limb", "pelvis"]
VIEWS = ["frontal", "lateral", "oblique"]


def draw(path, rng, *, is_positive):
    """Draw an image, with a bright spot where it is positive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 120, (32, 32))
    pixels[8:20, 8:20] += 120 * is_positive
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def hannover(folder, n=16):
    """CSV with offsets of days and laboratory values; who came to intensive care has an offset."""
    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        for view in range(1 + i % 2):
            name = f"{rng.integers(2**32):08x}"
            draw(folder / "images" / f"{name}.png", rng, is_positive=i % 2)
            crp = f"{rng.uniform(1, 90):.1f}"
            rows.append(
                {
                    "patient_id": f"{i:04x}",
                    "image_id": name,
                    "sex": "fm"[i // 2 % 2],
                    "age": "",
                    "icu_admission_offset": f"{i}.0" if i % 2 else "",
                    "modality": "CR",
                    "projection": ("pa", "ap")[view],
                    "crp_offset": "0.0",
                    "crp_val": crp,
                }
            )
    pd.DataFrame(rows).to_csv(folder / "data.csv", index=False)


def german(folder, n=24):
    """One workbook with a sheet of images and one of patients, in German."""
    rng, images, patients = np.random.default_rng(1), [], []
    for i in range(n):
        number = f"K-{i:03}; {'Müller' if i % 3 else 'Groß'}"
        born = pd.Timestamp("1990-01-01") + pd.Timedelta(days=int(rng.integers(9000)))
        values = [f"{rng.lognormal(5, 0.4):.1f}".replace(".", ",") for _ in range(2)]
        patients.append(
            {
                "Patienten-ID": number,
                "Name": f"Nachname{i}; Vorname{i}",
                "Geschlecht": ("weiblich", "männlich")[int(rng.integers(2))],
                "Geburtsdatum": f"{born:%d.%m.%Y}",
                "AP [U/l]": values[0],
                "CRP": "<0,6" if i % 7 == 0 else values[1],
                "Befund": ("kein Tumor", "Osteosarkom; distal")[i % 2],
            }
        )
        name = f"Bild {i:03};ap.png"
        draw(folder / "Bilder" / name, rng, is_positive=i % 2)
        view = ("ap", "seitlich")[i // 2 % 2]
        images.append({"Datei": name, "Patienten-ID": number, "Aufnahmedatum": "12.03.2021"})
        images[-1]["Projektion"] = view
    with pd.ExcelWriter(folder / "Export.xlsx") as book:
        pd.DataFrame(images).to_excel(book, sheet_name="Bilder", index=False)
        pd.DataFrame(patients).to_excel(book, sheet_name="Klinik", index=False)
        pd.DataFrame({"Legende": ["ap: von vorn"]}).to_excel(book, sheet_name="Info", index=False)


def btxrd(folder, n=24):
    """The layout of BTXRD: columns of 0 and 1, and no patient."""
    rng, rows = np.random.default_rng(2), []
    for i in range(n):
        kind = (7, 0, -1)[i % 3]
        ones = {"tumor": kind >= 0, "benign": kind == 0, "malignant": kind == 7}
        place = int(rng.integers(len(BONES + JOINTS)))
        ones |= {name: k == place for k, name in enumerate(BONES + JOINTS)}
        ones |= {name: k == kind for k, name in enumerate(KINDS)}
        ones |= {name: k == i % 3 for k, name in enumerate(LIMBS)}
        same = {"center": i % 3 + 1, "age": 5 + 2 * i, "gender": "FM"[i // 3 % 2]}
        for view in range(1 + i % 2):
            name = f"IMG{len(rows):06}.jpeg"
            draw(folder / "images" / name, rng, is_positive=kind == 7)
            views = {one: int(k == view) for k, one in enumerate(VIEWS)}
            cells = {one: int(value) for one, value in ones.items()}
            rows.append({"image_id": name, **same, **cells, **views})
    table = pd.DataFrame(rows)
    order = ["image_id", "center", "age", "gender", *BONES, *JOINTS, "tumor", "benign", "malignant"]
    table[[*order, *KINDS, *LIMBS, *VIEWS]].to_excel(folder / "dataset.xlsx", index=False)


def folders(folder, n=12):
    """Folders OS/PATIENT and NOS/PATIENT, and a workbook for each class."""
    rng = np.random.default_rng(3)
    for label in ("OS", "NOS"):
        rows = []
        for i in range(n):
            number = f"{label}{i:03}"
            for view in range(1 + i % 2):
                image = folder / label / number / f"{view}.jpg"
                draw(image, rng, is_positive=label == "OS")
            place = ("股骨", "胫骨", "肱骨")[i % 3]
            age = int(rng.integers(6, 40))
            rows.append({"编号": number, "性别": "男女"[i % 2], "年龄": age, "发病部位": place})
        pd.DataFrame(rows).to_excel(folder / f"{label}.xlsx", index=False)
