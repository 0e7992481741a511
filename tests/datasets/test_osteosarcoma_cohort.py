import hashlib
import json
import os
import re
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skosfusion._utils.files import sweep_temporary_files, write_atomically
from skosfusion.datasets import _osteosarcoma, get_data_home
from skosfusion.datasets._osteosarcoma import make_osteosarcoma_cohort
from skosfusion.datasets._synthetic._clinical_statistics import (
    ADULT_LIMITS,
    KITS,
    draw_activity,
    draw_person,
    reference_limits,
)
from skosfusion.datasets._synthetic._cohort_plan import VISIBILITY_BETA, class_counts, plan_cohort
from skosfusion.datasets._synthetic._knee import VIEWS, Subject, draw_knee
from skosfusion.datasets._synthetic._knee_canvas import Canvas, Projection
from skosfusion.datasets._synthetic._knee_findings import BRUSHES, Finding
from skosfusion.datasets._synthetic._knee_tumor import Tumor, add_tumor

COLUMNS = [
    "image",
    "patient_id",
    "gender",
    "age",
    "alp",
    "alp_low",
    "alp_high",
    "ldh",
    "ldh_low",
    "ldh_high",
]


def small_cohort(home, **changes):
    parameters = {"n_patients": 8, "image_size": 64, "random_state": 3, "data_home": home}
    return make_osteosarcoma_cohort(**(parameters | changes))


def contents(cohort):
    return {os.path.basename(p): Path(p).read_bytes() for p in cohort.data["image"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cohort(home):
    return small_cohort(home)


@pytest.fixture(scope="module")
def paper_plan():
    return plan_cohort(848, None, 0)


@pytest.fixture(scope="module")
def records(paper_plan):
    frame = pd.DataFrame([{"tumor": p.has_tumor, **p.record} for p in paper_plan])
    for name in KITS:
        span = frame[f"{name}_high"] - frame[f"{name}_low"]
        frame[f"{name}_scaled"] = (frame[name] - frame[f"{name}_low"]) / span
    return frame


# The plan: who is in the cohort


def test_default_cohort_has_the_patients_and_images_of_the_paper(paper_plan):
    has_tumor = np.array([p.has_tumor for p in paper_plan])
    n_views = np.array([len(p.views) for p in paper_plan])
    assert (len(paper_plan), has_tumor.sum()) == (848, 394)
    assert (n_views[~has_tumor].sum(), n_views[has_tumor].sum()) == (1432, 1176)


def test_giving_the_default_number_of_images_changes_nothing():
    assert class_counts(848, 2608) == class_counts(848) == ((454, 394), (1432, 1176))


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 500), st.data())
def test_class_counts_add_up_and_every_patient_has_an_image(n_patients, data):
    n_images = data.draw(st.one_of(st.none(), st.integers(n_patients, 2000)))
    patients, images = class_counts(n_patients, n_images)
    assert sum(patients) == n_patients
    assert min(patients) >= 1
    assert n_images is None or sum(images) == n_images
    assert all(i >= p for i, p in zip(images, patients, strict=True))


def test_ages_lie_within_4_and_81_and_reach_both_ends():
    rng = np.random.default_rng(0)
    ages = {draw_person(rng, has_tumor)[1] for has_tumor in (0, 1) for _ in range(4000)}
    assert (min(ages), max(ages)) == (4, 81)


def test_osteosarcoma_peaks_in_the_second_decade_and_controls_in_the_third(records):
    decade = records["age"] // 10
    modes = decade.groupby(records["tumor"]).agg(lambda d: d.value_counts().idxmax())
    assert modes.to_dict() == {False: 2, True: 1}


def test_osteosarcoma_has_a_second_rise_among_the_old(records):
    ages = records.loc[records["tumor"], "age"]
    assert 0.04 < (ages >= 60).mean() < 0.15


def test_more_than_half_of_the_osteosarcoma_patients_are_male(records):
    assert 0.5 < (records.loc[records["tumor"], "gender"] == "M").mean() < 0.64


def test_every_kit_of_an_analyte_is_used_and_there_are_three_or_more(records):
    for name, kits in KITS.items():
        used = set(zip(records[f"{name}_low"], records[f"{name}_high"], strict=True))
        assert used == {(kit.low, kit.high) for kit in kits}
        assert len(used) >= 3
        assert sum(kit.share for kit in kits) == pytest.approx(1.0)


def test_kit_does_not_depend_on_the_diagnosis(records):
    table = pd.crosstab(records["alp_high"], records["tumor"], normalize="columns")
    assert (table[True] - table[False]).abs().max() < 0.1


@settings(deadline=None, max_examples=50)
@given(st.floats(-0.2, 20.0))
def test_normalizing_by_the_range_undoes_the_calibration_of_any_kit(standard):
    for kits in KITS.values():
        for kit in kits:
            span = kit.high - kit.low
            scaled = (kit.measure(standard) - kit.low) / span
            assert abs(scaled - standard) <= 0.5 / span + 1e-9  # whole U/L
            assert kit.measure(standard) > 0


def test_raw_values_differ_between_kits_more_than_normalized_ones(records):
    controls = records[~records["tumor"]]
    for name in KITS:
        raw = controls.groupby(f"{name}_high")[name].median()
        scaled = controls.groupby(f"{name}_high")[f"{name}_scaled"].median()
        assert raw.max() / raw.min() > 1.8
        assert scaled.max() - scaled.min() < 0.35


@pytest.mark.parametrize(("analyte", "low", "high"), [("alp", 0.38, 0.52), ("ldh", 0.28, 0.44)])
def test_share_of_raised_enzymes_follows_the_literature(analyte, low, high):
    rng = np.random.default_rng(1)
    raised = []
    for _ in range(4000):
        is_female, age = draw_person(rng, True)
        activity = draw_activity(rng, analyte, age, is_female, burden=rng.normal())
        raised.append(activity > reference_limits(analyte, age, is_female)[1])
    assert low < np.mean(raised) < high


@pytest.mark.parametrize("analyte", sorted(KITS))
def test_few_controls_exceed_the_limits_for_their_age(analyte):
    rng = np.random.default_rng(2)
    raised = []
    for _ in range(4000):
        is_female, age = draw_person(rng, False)
        limit = reference_limits(analyte, age, is_female)[1]
        raised.append(draw_activity(rng, analyte, age, is_female) > limit)
    assert 0.015 < np.mean(raised) < 0.035


def test_growing_controls_have_two_to_four_times_the_alp_limit_of_adults(records):
    controls = records[~records["tumor"]]
    growing = controls.loc[controls["age"] <= 13, "alp_scaled"].median()
    grown = controls.loc[controls["age"] >= 20, "alp_scaled"].median()
    assert growing > 1.0 > grown
    assert 2.0 < reference_limits("alp", 12, False)[1] / ADULT_LIMITS["alp"][1] < 4.2


def test_girls_alp_falls_before_that_of_boys():
    assert reference_limits("alp", 15, True)[1] < 0.6 * reference_limits("alp", 15, False)[1]


def test_burden_of_disease_raises_the_enzymes():
    rng = np.random.default_rng(4)
    light, heavy = (
        np.median([draw_activity(rng, "alp", 30, False, burden) for _ in range(500)])
        for burden in (-1.5, 1.5)
    )
    assert heavy > 1.3 * light


def test_visibility_of_tumors_follows_its_beta_distribution(paper_plan):
    seen = np.array([p.subject.tumor.visibility for p in paper_plan if p.has_tumor])
    a, b = VISIBILITY_BETA
    assert seen.mean() == pytest.approx(a / (a + b), abs=0.04)
    assert 0.8 < (seen > 0.33).mean() < 0.95


def test_controls_have_no_tumor_and_many_have_benign_findings(paper_plan):
    controls = [p for p in paper_plan if not p.has_tumor]
    assert all(p.subject.tumor is None for p in controls)
    assert 0.4 < np.mean([bool(p.subject.findings) for p in controls]) < 0.9


def test_patients_with_three_images_or_more_have_all_views(paper_plan):
    for patient in paper_plan:
        if len(patient.views) >= 3:
            assert set(patient.views) == set(VIEWS)


def test_order_and_names_tell_nothing_of_the_diagnosis(paper_plan):
    has_tumor = np.array([p.has_tumor for p in paper_plan], dtype=float)
    assert abs(np.corrcoef(np.arange(848), has_tumor)[0, 1]) < 0.1
    for patient in paper_plan[:50]:
        assert all(re.fullmatch(r"P\d{4}_\d+\.png", name) for name in patient.file_names)


def test_plan_is_the_same_for_the_same_seed_and_differs_for_another():
    first, again, other = (plan_cohort(20, None, seed) for seed in (5, 5, 6))
    assert [p.record for p in first] == [p.record for p in again]
    assert [p.record for p in first] != [p.record for p in other]


# Drawing one radiograph


def drawn(view="ap", size=96, age=16.0, tumor=None, findings=(), seed=0):
    subject = Subject(age, False, 11, tumor, findings)
    return draw_knee(subject, view, np.random.default_rng(seed), size)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("age", [4.0, 12.0, 30.0, 81.9])
def test_radiograph_has_dark_air_and_bright_bone(view, age):
    image, box = drawn(view, age=age)
    assert image.dtype == np.uint8
    assert image.shape == (96, 96)
    assert box is None
    assert np.quantile(image, 0.05) < 50
    assert np.quantile(image, 0.95) > 120


@pytest.mark.parametrize("center", [(60.0, 80.0), (20.0, 30.0)])  # the second cut by the border
def test_box_holds_what_the_tumor_changed(center):
    canvas = Canvas(Projection(np.eye(2), np.array(center), 128), "ap", 0.0, 0.0)
    mask = np.zeros((128, 128), bool)
    mask[:, 55:85] = True
    canvas.silhouettes["femur"] = (slice(0, 128), slice(0, 128)), mask
    canvas.bone += 0.5 * mask
    before = canvas.bone + canvas.soft
    tumor = Tumor("femur", -20.0, 12.0, 0.0, 0.9, 0.8, 7)
    box = add_tumor(canvas, tumor, np.random.default_rng(0))
    change = np.abs(canvas.bone + canvas.soft - before)
    rows, columns = (
        np.flatnonzero((change >= 0.15 * change.max()).any(axis=axis)) for axis in (1, 0)
    )
    assert box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@pytest.mark.parametrize("view", VIEWS)
def test_tumor_changes_its_box_more_than_the_rest_of_the_radiograph(view):
    tumor = Tumor("tibia", 38.0, 15.0, 0.5, 0.9, 0.8, 7)
    plain, _ = drawn(view, size=128)
    image, box = drawn(view, size=128, tumor=tumor)
    left, top, right, bottom = map(int, box)
    change = np.abs(image.astype(float) - plain)
    within = np.zeros(change.shape, bool)
    within[top:bottom, left:right] = True
    assert change[within].mean() > 2.0 * change[~within].mean()


def test_visibility_governs_how_much_a_tumor_changes_the_image():
    plain, _ = drawn()
    change = []
    for visibility in (0.05, 0.4, 0.95):
        image, _ = drawn(tumor=Tumor("femur", -60.0, 25.0, 0.5, visibility, 0.8, 7))
        change.append(np.abs(image.astype(float) - plain).mean())
    assert change[0] < change[1] < change[2]


@pytest.mark.parametrize("kind", sorted(BRUSHES))
def test_every_benign_finding_shows_from_the_side(kind):
    finding = Finding(kind, "femur", -62.0, 1.2, 0.6, 0.9, 5)
    assert (drawn("lateral", findings=(finding,))[0] != drawn("lateral")[0]).any()


def test_growth_plates_show_in_children_only():
    def plate_contrast(age):
        rng = np.random.default_rng(2)
        images = [draw_knee(Subject(age, False, s), "ap", rng, 128)[0] for s in range(12)]
        rows = [np.diff(p[:, 54:74].astype(float).mean(axis=1)) for p in images]
        return np.mean([np.sort(np.abs(r))[-8:].mean() for r in rows])

    assert plate_contrast(10.0) > 1.1 * plate_contrast(25.0)


# The cohort on disk


def test_cohort_has_the_fields_of_a_scikit_learn_loader(cohort):
    n = len(cohort.data)
    assert cohort.data.columns.tolist() == COLUMNS
    assert cohort.frame.columns.tolist() == [*COLUMNS, "diagnosis"]
    assert cohort.target.dtype == np.int64
    assert cohort.target.shape == cohort.groups.shape == (n,)
    assert cohort.tumor_boxes.shape == (n, 4)
    assert cohort.target_names == ["non-tumor", "osteosarcoma"]
    assert (np.array(cohort.target_names)[cohort.target] == cohort.frame["diagnosis"]).all()
    assert set(cohort.kits) == {"alp", "ldh"}
    assert all(set(columns) <= set(COLUMNS) for columns in cohort.kits.values())


def test_description_says_first_that_everything_is_synthetic(cohort):
    assert "SYNTHETIC" in cohort.DESCR[:150]
    assert "nothing medical may be concluded" in " ".join(cohort.DESCR.split())


def test_images_are_gray_pngs_of_the_size_asked_for(cohort):
    for path in cohort.data["image"]:
        assert os.path.isabs(path)
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (64, 64))


def test_images_carry_no_metadata(cohort):
    with Image.open(cohort.data["image"].iloc[0]) as image:
        image.load()
        assert image.info == {}


def test_each_patient_has_one_record_and_one_diagnosis(cohort):
    per_patient = cohort.frame.drop(columns="image").drop_duplicates()
    assert per_patient["patient_id"].is_unique
    assert per_patient["patient_id"].nunique() == 8


def test_groups_are_the_patients(cohort):
    assert cohort.groups.tolist() == cohort.data["patient_id"].tolist()


def test_tumors_and_only_tumors_have_boxes_inside_the_image(cohort):
    boxes = cohort.tumor_boxes
    assert (np.isnan(boxes).all(axis=1) == (cohort.target == 0)).all()
    left, top, right, bottom = boxes[cohort.target == 1].T
    assert ((left >= 0) & (left < right) & (right <= 64)).all()
    assert ((top >= 0) & (top < bottom) & (bottom <= 64)).all()


def test_images_are_the_same_bytes_for_any_number_of_jobs(cohort, tmp_path):
    # Threads: processes would spend the time of the test on importing the package.
    with joblib.parallel_config(backend="threading"):
        parallel = small_cohort(tmp_path, n_jobs=3)
    assert contents(parallel) == contents(cohort)
    np.testing.assert_array_equal(parallel.tumor_boxes, cohort.tumor_boxes)


def test_another_seed_gives_other_images_in_another_folder(home, cohort):
    other = small_cohort(home, random_state=4)
    assert set(other.data["image"]).isdisjoint(cohort.data["image"])
    assert contents(other) != contents(cohort)


def test_manifest_holds_the_digest_of_every_image(home, cohort):
    folder = os.path.dirname(os.path.dirname(cohort.data["image"].iloc[0]))
    with open(os.path.join(folder, "manifest.json")) as file:
        images = json.load(file)["images"]
    digests = {
        name: hashlib.sha256(content).hexdigest() for name, content in contents(cohort).items()
    }
    assert {name: entry["sha256"] for name, entry in images.items()} == digests


def forbid_drawing(monkeypatch):
    def refuse(*args):
        raise AssertionError("drawn again")

    monkeypatch.setattr(_osteosarcoma, "draw_knee", refuse)


def test_second_call_draws_nothing_and_gives_the_same(home, cohort, monkeypatch):
    forbid_drawing(monkeypatch)
    times = [os.stat(path).st_mtime_ns for path in cohort.data["image"]]
    again = small_cohort(home)
    pd.testing.assert_frame_equal(again.frame, cohort.frame)
    np.testing.assert_array_equal(again.tumor_boxes, cohort.tumor_boxes)
    assert [os.stat(path).st_mtime_ns for path in again.data["image"]] == times


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_or_missing_image_is_drawn_again(tmp_path, damage):
    cohort = small_cohort(tmp_path)
    before = contents(cohort)
    path = cohort.data["image"].iloc[4]
    if damage == "cut":
        with open(path, "r+b") as file:
            file.truncate(100)
    else:
        os.remove(path)
    assert contents(small_cohort(tmp_path)) == before


def test_interrupted_call_is_continued_and_draws_only_the_rest(cohort, tmp_path, monkeypatch):
    draw, calls = _osteosarcoma.draw_knee, []

    def interrupted(subject, view, rng, size):
        calls.append(view)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return draw(subject, view, rng, size)

    monkeypatch.setattr(_osteosarcoma, "draw_knee", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small_cohort(tmp_path)
    continued = small_cohort(tmp_path)
    n_images = len(cohort.data)
    assert len(calls) - 12 < n_images
    assert contents(continued) == contents(cohort)
    np.testing.assert_array_equal(continued.tumor_boxes, cohort.tumor_boxes)


@pytest.mark.parametrize("content", [b'{"images": [', b"[]", b'{"images": 3}'])
def test_unreadable_manifest_is_replaced(tmp_path, content):
    cohort = small_cohort(tmp_path, n_patients=3)
    (manifest,) = tmp_path.glob("*/manifest.json")
    before = manifest.read_bytes()
    manifest.write_bytes(content)
    again = small_cohort(tmp_path, n_patients=3)
    assert manifest.read_bytes() == before
    pd.testing.assert_frame_equal(again.frame, cohort.frame)


def test_no_temporary_file_or_note_is_left(home, cohort):
    folder = get_data_home(home)
    names = [name for _, _, names in os.walk(folder) for name in names]
    assert all(name == "manifest.json" or name.endswith(".png") for name in names)


def test_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match=r"file.*data_home=.*SKOSFUSION_DATA"):
        small_cohort(file)


def test_global_random_state_is_left_alone(tmp_path):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    small_cohort(tmp_path, n_patients=2)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("changes", "error", "name"),
    [
        ({"n_patients": 1}, ValueError, "n_patients"),
        ({"n_patients": 8.0}, TypeError, "n_patients"),
        ({"n_images": 7}, ValueError, "n_images"),
        ({"image_size": 32}, ValueError, "image_size"),
        ({"random_state": None}, TypeError, "random_state"),
        ({"random_state": -1}, ValueError, "random_state"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(tmp_path, changes, error, name):
    with pytest.raises(error, match=name):
        small_cohort(tmp_path, **changes)
    assert not any(tmp_path.iterdir())


def test_data_home_comes_from_the_argument_the_environment_or_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SKOSFUSION_DATA", str(tmp_path))
    assert get_data_home("elsewhere").name == "elsewhere"
    assert get_data_home() == tmp_path
    monkeypatch.delenv("SKOSFUSION_DATA")
    assert get_data_home().parts[-2:] == (".cache", "skosfusion")


def test_only_old_temporary_files_are_swept(tmp_path):
    old, new = tmp_path / ".a.tmp", tmp_path / ".b.tmp"
    for path in (old, new):
        path.write_text("")
    os.utime(old, (0, 0))
    sweep_temporary_files(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "note.json"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
