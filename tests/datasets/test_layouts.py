"""Two layouts of tables and folders of this field, drawn small, from their files to a fitted model.

BTXRD, the public set of bone tumors: one table with columns of 0 and 1 for each bone, kind and
view, and no patient. And what hospital groups publish code for: folders of labels and patients,
with a sheet for each label whose headings are Chinese.
"""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion import make_clinical_transformer, make_fusion_pipeline
from skosfusion.datasets import (
    AgeColumn,
    CategoryColumn,
    GenderColumn,
    ImageColumn,
    KeptColumn,
    KitColumn,
    OneHotColumn,
    PatientColumn,
    TargetColumn,
    list_images,
    load_cohort,
)
from skosfusion.exceptions import LeakageWarning

from .._helpers.tiny import TinyEncoder

BONES = ["hand", "ulna", "radius", "humerus", "foot", "tibia", "fibula", "femur", "hip bone"]
JOINTS = ["ankle-joint", "knee-joint", "hip-joint", "wrist-joint", "elbow-joint", "shoulder-joint"]
KINDS = ["osteochondroma", "multiple osteochondromas", "simple bone cyst", "giant cell tumor"]
KINDS += ["osteofibroma", "synovial osteochondroma", "other bt", "osteosarcoma", "other mt"]
LIMBS, VIEWS = ["upper limb", "lower limb", "pelvis"], ["frontal", "lateral", "oblique"]
SITES = BONES + JOINTS
PERSON = ["center", "age", "gender", *SITES]


def draw(path, rng, gray):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 180, (32, 32)) + gray
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def btxrd(tmp_path):
    """Write the table and the images of twelve patients with two or three views each."""
    rng, rows = np.random.default_rng(0), []
    for patient in range(12):
        is_sarcoma = patient % 2
        person = dict.fromkeys(SITES + KINDS + LIMBS, 0)
        person |= {"center": 1 + patient % 3, "age": 9 + 4 * patient, "gender": "MF"[patient // 6]}
        person |= {SITES[patient]: 1, LIMBS[patient % 3]: 1}
        person |= {"tumor": 1, "benign": 1 - is_sarcoma, "malignant": is_sarcoma}
        person |= {"osteosarcoma" if is_sarcoma else "osteochondroma": 1}
        for view in range(2 + patient % 2):
            name = f"IMG{len(rows):06d}"
            views = {column: int(place == view) for place, column in enumerate(VIEWS)}
            rows.append({"image_id": name, **person, **views})
            draw(tmp_path / "images" / f"{name}.jpeg", rng, 60 * is_sarcoma)
    table = pd.DataFrame(rows)
    table = table[
        [
            "image_id",
            "center",
            "age",
            "gender",
            *SITES,
            "tumor",
            "benign",
            "malignant",
            *KINDS,
            *LIMBS,
            *VIEWS,
        ]
    ]
    table.to_csv(tmp_path / "dataset.csv", index=False)
    return tmp_path


BTXRD = {
    "image": ImageColumn("image_id", suffix=".jpeg"),
    "target": "osteosarcoma",
    "site": OneHotColumn(SITES),
    "view": OneHotColumn(VIEWS),
    "hospital": KeptColumn("center"),
}


def load_btxrd(folder, **columns):
    table = folder / "dataset.csv"
    return load_cohort(table, image_folder=folder / "images", columns=BTXRD | columns)


class TestOneTableWithoutPatients:
    def test_it_goes_in_by_declarations_alone(self, btxrd):
        cohort = load_btxrd(btxrd, patient_id=PatientColumn(same_in=PERSON))
        assert len(cohort.data) == 30
        assert len(set(cohort.groups)) == 12
        assert cohort.target.sum() == 18
        assert cohort.categories == {"site": "site", "view": "view"}
        assert cohort.data["site"][0] == "hand"
        assert cohort.data["view"][:4].tolist() == ["frontal", "lateral", "frontal", "lateral"]
        assert "malignant" in cohort.DESCR.partition("Columns not read: ")[2]
        made = make_clinical_transformer(**cohort.inputs)
        out = made.fit_transform(cohort.data)
        assert out.shape == (30, 1 + 2 + 12 + 3)
        assert {"gender", "age", "site_femur", "view_oblique"} <= set(out)

    def test_without_patients_the_error_tells_them(self, btxrd):
        with pytest.raises(ValueError, match="no column 'patient_id'") as caught:
            load_btxrd(btxrd)
        message = str(caught.value)
        assert "rows 0 and 1 (gender: 'M', age: '9') look" not in message  # several pairs
        assert "rows 0 and 1 (gender: 'M', age: '9'); rows 2 and 3" in message
        proposed = message.partition("PatientColumn(same_in=")[2].partition("])")[0] + "]"
        proposed = eval(proposed)  # noqa: S307
        assert {"center", "age", "gender", *SITES[:12]} <= set(proposed)
        assert not {"osteosarcoma", "image_id", *VIEWS} & set(proposed)
        cohort = load_btxrd(btxrd, patient_id=PatientColumn(same_in=proposed))
        assert len(set(cohort.groups)) == 12

    def test_each_image_a_patient_is_a_leak_that_is_said(self, btxrd):
        with pytest.warns(LeakageWarning, match="folds leak"):
            cohort = load_btxrd(btxrd, patient_id=None)
        assert len(set(cohort.groups)) == 30

    def test_a_forgotten_suffix_is_proposed(self, btxrd):
        patients = {"patient_id": PatientColumn(same_in=PERSON)}
        message = r"'IMG000000' is not there, but 'IMG000000.jpeg' is; .*suffix='.jpeg'"
        with pytest.raises(FileNotFoundError, match=message):
            load_btxrd(btxrd, image="image_id", **patients)

    def test_a_model_is_fitted(self, btxrd):
        cohort = load_btxrd(btxrd, patient_id=PatientColumn(same_in=PERSON))
        model = make_fusion_pipeline(
            clinical=make_clinical_transformer(**cohort.inputs),
            backbone=TinyEncoder,
            weights=None,
            frozen_epochs="all",
            max_epochs=2,
            image_size=32,
            random_state=0,
            verbose=0,
        )
        model.fit(cohort.data, cohort.target)
        probabilities = model.predict_proba(cohort.data)
        assert probabilities.shape == (30, 2)
        assert np.isfinite(probabilities).all()


CHINESE = {
    "patient_id": "编号",
    "gender": "性别",
    "age": "年龄",
    "site": CategoryColumn("发病部位"),
    "view": CategoryColumn("projection"),
    "crp": KitColumn("CRP", None, 5, censored="limit"),
}


@pytest.fixture
def hospital(tmp_path):
    """Draw folders of two labels with eight patients each, and write a sheet for each label."""
    rng = np.random.default_rng(1)
    for label, gray in (("OS", 60), ("NOS", 0)):
        rows = []
        for patient in range(8):
            number = f"{label[0]}{patient:03d}"
            rows.append(
                {
                    "编号": number,
                    "性别": "男女"[patient % 2],
                    "年龄": str(8 + 3 * patient),
                    "发病部位": ["股骨", "胫骨", "肱骨"][patient % 3],
                    "projection": ["AP", "PA"][patient % 2],
                    "CRP": ["<1", "12", "4.5"][patient % 3],
                }
            )
            for view in range(1 + patient % 2):
                draw(tmp_path / "images" / label / number / f"{view}.jpg", rng, gray)
        pd.DataFrame(rows).to_csv(tmp_path / f"{label}.csv", index=False)
    (tmp_path / "images" / "Thumbs.db").touch()
    return tmp_path


def load_hospital(folder, records=None, **columns):
    images = list_images(folder / "images", levels=("diagnosis", "编号"))
    if records is None:
        sheets = [pd.read_csv(folder / f"{label}.csv", dtype=str) for label in ("OS", "NOS")]
        records = pd.concat(sheets, ignore_index=True)
    return load_cohort(images, records, image_folder=folder / "images", columns=CHINESE | columns)


class TestFoldersOfLabelsAndPatients:
    def test_they_go_in_by_declarations_alone(self, hospital):
        positive = TargetColumn("diagnosis", positive="OS")
        cohort = load_hospital(hospital, target=positive)
        assert len(cohort.data) == 24
        assert len(set(cohort.groups)) == 16
        assert cohort.target.sum() == 12
        assert cohort.data["crp"].isin([1, 12, 4.5]).all()
        assert set(cohort.data["site"]) == {"股骨", "胫骨", "肱骨"}
        out = make_clinical_transformer(**cohort.inputs).fit_transform(cohort.data)
        assert set(out["gender"]) == {-0.5, 0.5}
        assert {"view_AP", "view_PA", "crp", "site_股骨"} <= set(out)

    def test_a_patient_of_two_labels_is_a_conflict(self, hospital):
        draw(hospital / "images" / "NOS" / "O000" / "0.jpg", np.random.default_rng(0), 0)
        with pytest.raises(ValueError, match=r"different labels, for 1 patient \(O000\)"):
            load_hospital(hospital)

    def test_ages_may_be_dates_of_birth(self, hospital):
        sheets = [pd.read_csv(hospital / f"{label}.csv", dtype=str) for label in ("OS", "NOS")]
        records = pd.concat(sheets, ignore_index=True)
        records["出生日期"] = [f"{2020 - int(age)}年7月2日" for age in records["年龄"]]
        born = AgeColumn("出生日期", date="2020-07-02")
        cohort = load_hospital(hospital, records, age=born)
        expected = load_hospital(hospital).data["age"]
        np.testing.assert_allclose(cohort.data["age"], expected, atol=0.01)

    def test_german_words_and_a_model(self, hospital):
        sheets = [pd.read_csv(hospital / f"{label}.csv", dtype=str) for label in ("OS", "NOS")]
        records = pd.concat(sheets, ignore_index=True)
        records["性别"] = records["性别"].map({"男": "m", "女": "w"})
        cohort = load_hospital(
            hospital, records, gender=GenderColumn("性别", values={"w": "female"})
        )
        assert set(cohort.data["gender"]) == {"female", "male"}
        model = make_fusion_pipeline(
            clinical=make_clinical_transformer(**cohort.inputs),
            backbone=TinyEncoder,
            weights=None,
            frozen_epochs="all",
            max_epochs=2,
            image_size=32,
            random_state=0,
            verbose=0,
        )
        model.fit(cohort.data, cohort.target)
        assert set(model.predict(cohort.data)) <= {"OS", "NOS"}
