import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, KFold

from skosfusion import audit_shortcuts, evaluate_scores
from skosfusion._utils.kept_columns import KEPT
from skosfusion.datasets import (
    KeptColumn,
    TargetColumn,
    load_cohort,
    make_osteosarcoma_cohort,
)
from skosfusion.evaluation._resampling import Draws
from skosfusion.evaluation._shortcut_scores import PatientScores
from skosfusion.exceptions import ImageError, ShortcutWarning

from .._helpers.chest_xray import CHEST_XRAY

HANNOVER = CHEST_XRAY.parent / "hannover"
FAST = {"n_resamples": 200, "random_state": 0}


@pytest.fixture
def table():
    """Sixty patients with two rows each, and columns that do and do not tell the label."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 2)
    y = groups % 2
    day = rng.integers(0, 100, 120)
    frame = pd.DataFrame(
        {
            "site": np.where(rng.random(120) < 0.1, "a", np.where(y == 1, "b", "c")),
            "noise": rng.normal(size=120),
            "same": "x",
            "u_shape": np.where(y == 1, rng.choice([-2, 2], 120), 0) + rng.normal(size=120) / 9,
            "gap": np.where((y == 1) & (rng.random(120) < 0.7), np.nan, 1.0),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(day + 90 * y, unit="D"),
        }
    )
    return frame, y, groups


def audit(table, **options):
    frame, y, groups = table
    options = {"image_column": None, "columns": list(frame.columns)} | FAST | options
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = audit_shortcuts(frame, y, groups=groups, **options)
    found.caught = [one for one in caught if one.category is ShortcutWarning]
    assert len(found.caught) == len(caught)
    return found


class TestTable:
    def test_what_tells_the_label_is_told_from_what_does_not(self, table):
        found = audit(table)
        lines = found.table.set_index("what")
        for name in ("site", "u_shape", "missing: gap", "gap", "when"):
            assert lines.loc[name, "low"] > 0.7, name
            assert lines.loc[name, "warns"], name
        assert abs(lines.loc["noise", "auc"] - 0.5) < 0.15
        assert not lines.loc["noise", "warns"]
        (warning,) = found.caught
        assert "site" in str(warning.message)
        assert "noise" not in str(warning.message)
        assert warning.filename == __file__
        assert (lines["n"] == 60).all()
        assert "- site: " in found.DESCR

    def test_constant_columns_give_one_half_and_no_warning(self, table):
        found = audit(table, columns=["same"])
        line = found.table.set_index("what").loc["same"]
        assert line["auc"] == 0.5
        assert np.isnan(line["low"])
        assert not line["warns"]

    def test_the_level_decides_on_warnings(self, table):
        assert not audit(table, level=1.0, columns=["site"]).caught
        assert audit(table, level=0.5, columns=["site"]).caught

    def test_number_of_images_a_patient(self, table):
        frame, y, groups = table
        keep = (y == 1) | (np.arange(120) % 2 == 0)
        found = audit((frame[keep], y[keep], groups[keep]), columns=[])
        assert found.table.set_index("what").loc["number of images", "auc"] == 1.0

    def test_the_same_seed_gives_the_same_figures(self, table):
        pd.testing.assert_frame_equal(audit(table).table, audit(table).table)

    def test_nothing_that_is_given_changes(self, table):
        frame, y, groups = table
        before = frame.copy(), y.copy(), groups.copy()
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        audit(table, random_state=None)
        pd.testing.assert_frame_equal(frame, before[0])
        assert (y == before[1]).all()
        assert (groups == before[2]).all()
        assert (np.random.get_state()[1] == state).all()  # noqa: NPY002

    def test_labels_and_patients_may_be_texts(self, table):
        frame, y, groups = table
        texts = np.where(y == 1, "tumor", "none"), [f"p{group}" for group in groups]
        words = audit((frame, *texts))
        pd.testing.assert_frame_equal(words.table, audit(table).table)
        assert "'tumor' from 'none'" in words.DESCR

    def test_few_patients_get_a_figure_without_an_interval(self, table):
        frame, y, groups = table
        few = groups < 18
        found = audit((frame[few], y[few], groups[few]), columns=["site"])
        line = found.table.set_index("what").loc["site"]
        assert line["auc"] > 0.7
        assert np.isnan(line["low"])
        assert "fewer than 10" in line["note"]
        assert not found.caught

    def test_patients_with_both_labels_are_drawn_as_one(self, table):
        frame, y, groups = table
        y = y.copy()
        y[:20:2] = 1 - y[:20:2]
        assert (audit((frame, y, groups)).table["n"] == 60).all()

    def test_folds_may_be_given(self, table):
        frame, y, groups = table
        folds = list(GroupKFold(3).split(frame, y, groups))
        one, other = audit(table, cv=GroupKFold(3)), audit(table, cv=folds)
        pd.testing.assert_frame_equal(one.table, other.table)


class TestScores:
    def test_auc_is_that_of_scikit_learn_within_a_fold(self):
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 40)
        scores = PatientScores(y, np.arange(40), [])
        values = np.round(rng.normal(size=40) + y, 1)
        tested = [(np.arange(40), values)]
        assert scores.auc(tested)[0] == pytest.approx(roc_auc_score(y, values))
        weights = rng.integers(0, 4, (1, 40)).astype(float)
        expected = roc_auc_score(y, values, sample_weight=weights[0])
        assert scores.auc(tested, weights)[0] == pytest.approx(expected)

    def test_error_is_about_that_of_delong(self):
        # Normal scores one apart: AUC 0.760, and 100 patients a class.
        rng = np.random.default_rng(1)
        y = np.repeat([0, 1], 100)
        scores = PatientScores(y, np.arange(200), [])
        tested = [(np.arange(200), rng.normal(size=200) + y)]
        (drawn,) = scores.resampled([tested], 2000, np.random.RandomState(0))
        assert drawn.shape == (2000,)
        assert np.std(drawn) == pytest.approx(0.034, abs=0.005)

    def test_patients_of_both_labels_are_drawn_as_one(self):
        y = np.array([0, 1] * 12 + [0] * 12 + [1] * 12)
        patients = np.array(list(np.repeat(np.arange(12), 2)) + list(range(12, 36)))
        scores = PatientScores(y, patients, [])
        kinds = [np.arange(12), np.arange(12, 24), np.arange(24, 36)]
        for _, weights in Draws(scores._units(), 20, 0).blocks():
            assert all((weights[:, kind].sum(axis=1) == 12).all() for kind in kinds)

    def test_an_interval_of_all_pairs_won_is_that_of_evaluate_scores(self):
        y = np.arange(40) % 2
        scores = PatientScores(y, np.arange(40), [])
        low, high = scores.interval(1.0, np.ones(100), 0.95)
        found = evaluate_scores(
            y, 2.0 * y - 1 + np.arange(40) / 100, groups=None, fold=None, metrics=["auc"],
            n_resamples=50, random_state=0,
        ).table  # fmt: skip
        assert (low, high) == tuple(found.loc["model", ["auc_low", "auc_high"]])
        assert scores.interval(0.0, np.zeros(100), 0.95) == (0.0, pytest.approx(1 - low))

    def test_an_auc_that_does_not_vary_has_no_interval(self):
        scores = PatientScores(np.arange(40) % 2, np.arange(40), [])
        assert np.isnan(scores.interval(0.5, np.full(100, 0.5), 0.95)).all()

    def test_what_tells_nothing_is_rarely_warned_of(self):
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(40), 2)
        frame = pd.DataFrame(rng.normal(size=(80, 20)), columns=[f"c{i}" for i in range(20)])
        found = audit((frame, groups % 2, groups), level=0.5)
        assert found.table["warns"].sum() <= 2


class TestTime:
    def test_what_was_measured_after_the_outcome_is_counted(self, table):
        frame, y, groups = table
        frame["image_day"] = np.arange(120.0)
        frame["outcome"] = np.where(np.arange(120) < 10, np.nan, 30.0)
        found = audit(
            (frame, y, groups),
            columns=None,
            times={"image": ("image_day", "outcome"), "now": (None, "outcome")},
        )
        assert found.time["n_known"].tolist() == [110, 110]
        assert found.time["n_after"].tolist() == [89, 0]
        assert found.time["n_same"].tolist() == [1, 0]
        assert "image was measured after the outcome in 89 of 110" in found.DESCR
        assert "missing: outcome" not in found.table["what"].tolist()

    def test_dates_are_compared(self, table):
        frame, y, groups = table
        frame["outcome"] = frame["when"] - pd.Timedelta(days=1)
        found = audit((frame, y, groups), columns=["noise"], times={"image": ("when", "outcome")})
        assert found.time["share_after"].tolist() == [1.0]

    @pytest.mark.parametrize(
        ("times", "match"),
        [
            ({"image": ("when", "noise")}, "two columns of dates, or two of numbers"),
            ({"image": ("site", "noise")}, "two columns of dates"),
            ({"image": ("whem", "noise")}, "'whem', which is no column.*did you mean 'when'"),
            ({"image": "when"}, r"times\['image'\]='when'"),
            ("when", "times='when'"),
        ],
    )
    def test_times_that_cannot_be_compared_are_refused(self, table, times, match):
        with pytest.raises(ValueError, match=match):
            audit(table, times=times)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"columns": ["sit"]}, "'sit', which is no column of frame.*did you mean 'site'"),
            ({"columns": "site"}, "columns='site'"),
            ({"image_column": "image"}, "'image', which is no column"),
            (
                {"cv": KFold(3, shuffle=True, random_state=0)},
                "fold 0 of cv has .* patients in both",
            ),
            ({"cv": 31}, "cv=31 .* 2 to 30 folds"),
            ({"cv": 1}, "cv=1"),
            ({"cv": 2.5}, "cv=2.5"),
            ({"level": 0.4}, "level=0.4"),
            ({"level": True}, "level=True"),
            ({"n_resamples": 10}, "n_resamples=10"),
            ({"confidence_level": 1}, "confidence_level=1"),
        ],
    )
    def test_arguments_out_of_their_set(self, table, options, match):
        with pytest.raises(ValueError, match=match):
            audit(table, **options)

    def test_labels_of_one_class_or_of_three(self, table):
        frame, _, groups = table
        with pytest.raises(ValueError, match=r"y has 1 class .*two are needed"):
            audit((frame, np.zeros(120), groups))
        with pytest.raises(ValueError, match=r"y has 3 classes .*each against the others"):
            audit((frame, np.arange(120) % 3, groups))

    def test_lengths_and_types(self, table):
        frame, y, groups = table
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            audit((frame, y, groups[1:]))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            audit((frame, y[1:], groups))
        with pytest.raises(TypeError, match="DataFrame, got list"):
            audit_shortcuts([[1]], y, groups=groups)
        with pytest.raises(ValueError, match="more than one column named 'site'"):
            audit((pd.concat([frame, frame], axis=1), y, groups), columns=[])

    def test_folds_that_train_on_one_class_or_test_no_pair(self, table):
        _, y, groups = table
        rows = np.arange(120)
        with pytest.raises(ValueError, match="fold 0 of cv trains on one class"):
            audit(table, cv=[(rows[y == 1], rows[y == 0])])
        with pytest.raises(ValueError, match="no fold of cv tests patients of both"):
            audit(table, cv=[(rows[groups != one], rows[groups == one]) for one in range(60)])

    def test_a_class_of_one_patient(self, table):
        frame, _, groups = table
        with pytest.raises(ValueError, match="one patient only"):
            audit((frame, (groups == 0).astype(int), groups))


class TestImages:
    @pytest.fixture
    def images(self, tmp_path):
        """Twelve patients a class, one of whose classes has larger and brighter images."""
        rows = []
        for i in range(24):
            label = i % 2
            size = (40 + 8 * label, 40)
            path = tmp_path / f"{i}.{'jpg' if label else 'png'}"
            pixels = np.random.default_rng(i).integers(60 * label, 150 + 60 * label, size[::-1])
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            rows.append((str(path), label))
        return pd.DataFrame(rows, columns=["image", "label"])

    def test_files_tell_the_label(self, images):
        found = audit(
            (images[["image"]], images["label"].to_numpy(), np.arange(24)),
            image_column="image",
            columns=None,
        )
        lines = found.table.set_index("what")
        told = ["file facts", "width", "aspect", "format", "brightness", "border"]
        assert (lines.loc[told, "auc"] == 1.0).all()
        assert lines.loc[told, "warns"].all()
        assert lines.loc["height", "auc"] == 0.5
        assert lines.loc["file facts", "columns"][:2] == ["file size", "width"]

    def test_each_file_is_read_once(self, images, monkeypatch):
        from skosfusion.evaluation import _shortcut_columns as module

        read, original = [], module.read_facts
        monkeypatch.setattr(
            module, "read_facts", lambda path, row: read.append(row) or original(path, row=row)
        )
        twice = pd.concat([images, images])[["image"]]
        twice.iloc[0, 0] = None
        y, groups = np.tile(images["label"], 2), np.tile(np.arange(24), 2)
        found = audit((twice, y, groups), image_column="image", columns=None)
        assert sorted(read) == [*range(1, 24), 24]
        assert "missing: image" in found.table["what"].tolist()

    def test_a_file_that_cannot_be_used_is_named_with_its_row(self, images):
        with open(images["image"][5], "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n damaged")
        table = images[["image"]], images["label"].to_numpy(), np.arange(24)
        with pytest.raises(ImageError, match=r"\(row 5\)"):
            audit(table, image_column="image", columns=None)

    def test_paths_of_images_are_no_shortcut(self, images):
        table = images[["image"]], images["label"].to_numpy(), np.arange(24)
        with pytest.raises(ValueError, match="'image' holds the paths"):
            audit(table, image_column="image", columns=["image"])


class TestColumnsAsked:
    def kept(self, table):
        frame, y, groups = table
        frame = frame.copy()
        frame.attrs[KEPT] = ["site", "when"]
        return frame, y, groups

    def test_those_named_are_told(self, table):
        found = audit(table, columns=["site", "noise"])
        assert "Columns of the table: site, noise, as named in columns=." in found.DESCR

    def test_those_that_were_kept_are_told(self, table):
        found = audit(self.kept(table), columns=None)
        assert "Columns of the table: site, when. Those that load_cohort kept" in found.DESCR

    def test_after_a_merge_none_is_and_the_text_says_what_to_do(self, table):
        frame, y, groups = self.kept(table)
        merged = frame.merge(pd.DataFrame({"site": ["a", "b", "c"], "more": [1, 2, 3]}), on="site")
        merged.attrs.clear()
        found = audit((merged, y[: len(merged)], groups[: len(merged)]), columns=None)
        assert "Columns of the table: none." in found.DESCR
        assert "has lost them: name them in columns=." in found.DESCR


def test_the_embedded_cohort_has_none(tmp_path):
    cohort = make_osteosarcoma_cohort(n_patients=100, image_size=64, data_home=tmp_path)
    found = audit((cohort.frame, cohort.target, cohort.groups), image_column="image", columns=None)
    lines = found.table.set_index("what")
    assert not found.caught
    assert lines.loc["file facts", "low"] < 0.5
    assert lines.loc["number of images", "low"] < 0.5


@pytest.mark.skipif(not CHEST_XRAY.exists(), reason="the real radiographs are not on this machine")
def test_files_of_the_chest_radiographs_tell_the_label():
    target = TargetColumn("finding", positive="COVID-19*", label_conflicts="keep")
    columns = {"image": "filename", "patient_id": "patientid", "gender": "sex", "target": target}
    columns["view"] = KeptColumn("view")
    cohort = load_cohort(
        CHEST_XRAY / "metadata.csv", image_folder=CHEST_XRAY / "images", columns=columns
    )
    found = audit((cohort.frame, cohort.target, cohort.groups), image_column="image", columns=None)
    lines = found.table.set_index("what")
    assert lines.loc["file facts", "low"] > 0.55
    assert lines.loc["file facts", "warns"]
    assert lines.loc["view", "auc"] > 0.6
    assert len(found.caught) == 1


@pytest.mark.skipif(not HANNOVER.exists(), reason="the real radiographs are not on this machine")
def test_projection_size_and_number_of_the_hannover_radiographs_are_named():
    table = pd.read_csv(HANNOVER / "data.csv", dtype=str)
    table["file"] = table["image_id"] + ".png"
    table["care"] = table["icu_admission_offset"].notna().map({True: "intensive", False: "ward"})
    cohort = load_cohort(
        table,
        image_folder=HANNOVER / "images",
        columns={
            "image": "file",
            "gender": "sex",
            "age": None,
            "ldh": None,
            "target": TargetColumn("care", positive="intensive", label_conflicts="keep"),
            "projection": KeptColumn("projection"),
            "admission": KeptColumn("icu_admission_offset", kind="number"),
        },
    )
    found = audit(
        (cohort.frame, cohort.target, cohort.groups),
        image_column="image",
        columns=None,
        times={"image": (None, "admission")},
    )
    warns = found.table.set_index("what")["warns"]
    assert warns[["projection", "file size", "number of images"]].all()
    assert "admission" not in warns.index
    assert found.time.loc[0, "n_after"] == 77


def test_a_column_with_the_name_of_a_fact_is_refused():
    frame = pd.DataFrame({"number of images": np.arange(60.0)})
    with pytest.raises(ValueError, match=r"'number of images' has the name.*rename"):
        audit_shortcuts(
            frame,
            np.arange(60) % 2,
            groups=np.arange(60),
            columns=["number of images"],
            image_column=None,
        )


def test_numbers_of_sites_are_codes():
    random = np.random.default_rng(0)
    site = random.integers(0, 20, 200)
    likely = random.permutation(20) % 2
    y = np.where(random.random(200) < 0.9, likely[site], 1 - likely[site])
    found = []
    for cells in (site, site.astype(str)):
        with pytest.warns(ShortcutWarning, match="site"):
            audit = audit_shortcuts(
                pd.DataFrame({"site": cells}),
                y,
                groups=np.arange(200),
                columns=["site"],
                image_column=None,
                random_state=0,
            )
        found.append(audit.table.set_index("what").loc["site", "auc"])
    assert found[0] == pytest.approx(found[1], abs=0.05)
