"""Numbers, categories and columns of 0 and 1 as inputs."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skosfusion import make_clinical_transformer
from skosfusion.datasets import (
    CategoryColumn,
    KeptColumn,
    KitColumn,
    NumberColumn,
    OneHotColumn,
    load_cohort,
)

SITES = ["femur", "tibia", "knee"]
FEW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def load(folder, images, records):
    """Load three images of two patients with further columns in the table of images."""

    def load(columns, in_records=None, keep_empty_inputs=False, **more):
        return load_cohort(
            images.assign(**more),
            records.assign(**(in_records or {})),
            image_folder=folder,
            columns=columns,
            keep_empty_inputs=keep_empty_inputs,
        )

    return load


class TestInputs:
    def test_all_kinds_reach_the_transformer(self, load):
        cohort = load(
            {
                "bmi": NumberColumn("BMI", decimal=",", unit="kg/m²"),
                "view": CategoryColumn("Projektion"),
                "site": OneHotColumn(SITES),
                "crp": KitColumn("CRP", None, 5),
            },
            in_records={"CRP": ["10", "3"]},
            BMI=["21,5", "30 kg/m²", ""],
            Projektion=[" ap", "pa", None],
            femur=["1", "0", "0"],
            tibia=["0", "1", "0"],
            knee=["0", "0", "1"],
        )
        np.testing.assert_array_equal(cohort.data["bmi"], [21.5, 30, np.nan])
        assert cohort.data["view"].tolist()[:2] == ["ap", "pa"]
        assert cohort.data["view"].isna().tolist() == [False, False, True]
        assert cohort.data["site"].tolist() == ["femur", "tibia", "knee"]
        assert (cohort.numbers, cohort.categories) == (
            {"bmi": "bmi"},
            {"view": "view", "site": "site"},
        )
        assert cohort.inputs == {
            "gender": "gender",
            "age": "age",
            "kits": cohort.kits,
            "numbers": cohort.numbers,
            "categories": cohort.categories,
        }
        out = make_clinical_transformer(**cohort.inputs).fit_transform(cohort.data)
        assert out.columns.tolist() == [
            *["image", "gender", "age", "crp", "alp", "bmi", "view_ap", "view_pa"],
            *["site_femur", "site_knee", "site_tibia"],
        ]
        assert np.isfinite(out.drop(columns="image")).all(axis=None)

    def test_what_is_not_there_is_no_input(self, load):
        cohort = load({"gender": None, "age": None, "alp": None})
        assert cohort.inputs == {
            "gender": None,
            "age": None,
            "kits": {},
            "numbers": {},
            "categories": {},
        }
        out = make_clinical_transformer(**cohort.inputs).fit_transform(cohort.data)
        assert out.columns.tolist() == ["image"]

    def test_a_kit_of_the_paper_may_be_a_plain_number(self, load):
        cohort = load({"alp": NumberColumn("alp")})
        assert (cohort.kits, cohort.numbers) == ({}, {"alp": "alp"})

    @pytest.mark.parametrize(
        "column", [NumberColumn("empty"), CategoryColumn("empty"), KitColumn("empty", 1, 2)]
    )
    def test_inputs_without_any_value_are_left_out_with_a_notice(self, load, column):
        message = (
            r"column 'empty' .* has no value in any of its 3 rows: the input 'new' is left out"
        )
        with pytest.warns(UserWarning, match=message):
            cohort = load({"new": column}, empty=["", "NA", None])
        assert not [name for name in cohort.data if name.startswith("new")]
        assert "new" not in str(cohort.inputs)
        assert re.search("Input left out, without any value: new", cohort.DESCR)

    @pytest.mark.parametrize(
        ("column", "names"),
        [
            (NumberColumn("empty"), ["new"]),
            (CategoryColumn("empty"), ["new"]),
            (KitColumn("empty", 1, 2), ["new", "new_low", "new_high"]),
        ],
    )
    def test_inputs_without_any_value_stay_where_a_model_needs_them(self, load, column, names):
        cohort = load({"new": column}, keep_empty_inputs=True, empty=["", "NA", None])
        assert [name for name in cohort.data if name.startswith("new")] == names
        assert cohort.data["new"].isna().all()
        with pytest.raises(ValueError, match=r"keep_empty_inputs='yes'.*True or False"):
            load({}, keep_empty_inputs="yes")

    def test_an_empty_gender_is_left_out_with_a_notice(self, load):
        with pytest.warns(UserWarning, match="the input 'gender' is left out"):
            cohort = load({}, in_records={"gender": ["", ""]})
        assert cohort.inputs["gender"] is None

    @pytest.mark.parametrize("name", ["", "a__b", 3])
    def test_a_step_must_be_able_to_bear_the_name(self, load, name):
        with pytest.raises(ValueError, match="name of a kit="):
            load({name: CategoryColumn("site")}, site="knee")

    def test_kept_columns_stay_no_inputs(self, load):
        cohort = load({"site": KeptColumn("site")}, site="knee")
        assert cohort.kept["site"].tolist() == ["knee"] * 3
        assert cohort.categories == {}


class TestNumberColumn:
    def test_errors_name_the_declaration(self, load):
        message = r"'21,5' in column 'BMI', row 0 .*columns=\{'bmi': NumberColumn\("
        with pytest.raises(ValueError, match=message):
            load({"bmi": NumberColumn("BMI")}, BMI=["21,5", "20", "22"])

    @pytest.mark.parametrize("cell", [b"1", [1], {"a": 1}, 1j], ids=repr)
    def test_cells_of_another_kind_are_refused(self, load, cell):
        bmi = pd.Series([20.0, cell, 21.0], dtype=object)
        with pytest.raises((TypeError, ValueError), match="column 'BMI', row 1"):
            load({"bmi": NumberColumn("BMI")}, BMI=bmi)

    def test_codes_for_missing_values_are_noted(self, load):
        with pytest.warns(UserWarning, match=r"NumberColumn\(column='BMI', na_values=\(9999,\)\)"):
            load({"bmi": NumberColumn("BMI")}, BMI=[20, 9999, 9999])

    def test_negative_numbers_are_numbers(self, load):
        cohort = load({"t": NumberColumn("T")}, T=[-1, -2.5, 0])
        assert cohort.data["t"].tolist() == [-1, -2.5, 0]


class TestCategoryColumn:
    def test_numbers_are_categories_as_well(self, load):
        cohort = load({"kind": CategoryColumn("kind")}, kind=[1, 2.0, "2"])
        assert cohort.data["kind"].tolist() == ["1", "2", "2"]

    def test_declared_values_are_missing(self, load):
        column = CategoryColumn("kind", na_values=["Unknown", 9])
        cohort = load({"kind": column}, kind=["unknown ", "9", "a"])
        assert cohort.data["kind"].isna().tolist() == [True, True, False]

    def test_none_as_a_word_is_noted(self, load):
        message = r"column 'kind' says 'none' in 1 row \(1\), which is read as missing; .*na_values"
        with pytest.warns(UserWarning, match=message):
            load({"kind": CategoryColumn("kind")}, kind=["a", "None", "b"])
        declared = CategoryColumn("kind", na_values=["none"])
        load({"kind": declared}, kind=["a", "None", "b"])

    @pytest.mark.parametrize("cell", [b"knee", ["knee"], {"knee"}, 1j], ids=repr)
    def test_cells_of_another_kind_are_refused(self, load, cell):
        kind = pd.Series(["knee", cell, "hip"], dtype=object)
        with pytest.raises(TypeError, match="column 'kind', row 1 must hold text or a number"):
            load({"kind": CategoryColumn("kind")}, kind=kind)

    def test_a_huge_text_is_refused_and_not_shown_in_full(self, load):
        message = r"column 'kind', row 2 holds a text of 100000 characters, 'x+\.\.\.; a cat"
        with pytest.raises(ValueError, match=message) as caught:
            load({"kind": CategoryColumn("kind")}, kind=["a", "b", "x" * 100_000])
        assert len(str(caught.value)) < 400

    def test_a_text_is_no_list_of_missing_values(self):
        with pytest.raises(ValueError, match="na_values='x' is not allowed"):
            CategoryColumn("kind", na_values="x")


def one_hot(load, *rows, **options):
    """Load rows of three digits as one category."""
    table = pd.DataFrame(list(map(list, rows)), columns=SITES, dtype=object)
    return load({"site": OneHotColumn(SITES, **options)}, **table)["data"]["site"]


class TestOneHotColumn:
    @pytest.mark.parametrize(
        ("one", "zero"),
        [("1", "0"), (" 1 ", "0 "), (1, 0), (1.0, 0.0), ("1.0", "0.0"), (True, False)],
    )
    def test_digits_in_any_form(self, load, one, zero):
        rows = [one, zero, zero], [zero, one, zero], [zero, zero, one]
        assert one_hot(load, *rows).tolist() == SITES

    def test_empty_cells_beside_a_1_are_0(self, load):
        got = one_hot(load, ["1", "", "0"], [None, "1", None], ["0", "0", "1"])
        assert got.tolist() == SITES

    def test_empty_cells_without_a_1_are_unclear(self, load):
        message = (
            r"row 1 is 1 in no column of 'site' and empty in 2 columns \('tibia', 'knee'\), which "
            r"may be 0 or 1; so are 1 more row \(2\)"
        )
        with pytest.raises(ValueError, match=message):
            one_hot(load, "100", ["0", "", ""], ["", "0", "0"])

    def test_a_row_without_any_digit_is_missing(self, load):
        got = one_hot(load, "100", ["", "NA", None], "001")
        assert got.isna().tolist() == [False, True, False]

    def test_where_0_is_never_written_empty_is_0(self, load):
        rows = ["1", "", ""], ["", "", ""], ["", "", "1"]
        with pytest.raises(ValueError, match="row 1 is 1 in none of 3 columns"):
            one_hot(load, *rows)
        assert one_hot(load, *rows, none="hip").tolist() == ["femur", "hip", "knee"]

    def test_none_is_an_error_with_both_remedies(self, load):
        message = (
            r"row 1 is 1 in none of 3 columns \('femur', 'tibia', 'knee'\); so are 1 more row "
            r"\(2\).*OneHotColumn\(columns=\('femur', 'tibia', 'knee'\), none='other'\).*'missing'"
        )
        with pytest.raises(ValueError, match=message):
            one_hot(load, "100", "000", "000")

    def test_none_is_missing_or_a_category(self, load):
        assert one_hot(load, "100", "000", "010", none="missing").isna()[1]
        assert one_hot(load, "100", "000", "010", none="other")[1] == "other"

    def test_several_are_an_error_or_a_category_of_their_own(self, load):
        message = r"row 1 is 1 in 2 columns \('femur', 'knee'\).*declare .*several='keep'\)"
        with pytest.raises(ValueError, match=message):
            one_hot(load, "100", "101", "001")
        assert one_hot(load, "100", "101", "001", several="keep")[1] == "femur + knee"

    @pytest.mark.parametrize(
        "cell",
        ["2", 2, -1, 0.5, "yes", "x" * 100_000, b"1", ["1"], {1: 1}, 1j, np.inf],
        ids=lambda cell: repr(cell)[:9],
    )
    def test_other_cells_are_refused_with_row_and_column(self, load, cell):
        message = r"column 'tibia', row 1: .* is neither 0 nor 1; write 1 where"
        with pytest.raises(ValueError, match=message) as caught:
            one_hot(load, "100", ["0", cell, "0"], "001")
        assert len(str(caught.value)) < 500

    def test_all_problems_come_at_once(self, load):
        with pytest.raises(ValueError, match="2 problems") as caught:
            one_hot(load, "000", "110", "001")
        assert "row 0" in str(caught.value)
        assert "row 1" in str(caught.value)

    def test_rows_are_those_of_the_clinical_table(self, load):
        site = {"femur": ["1", "0"], "tibia": ["0", "0"]}
        with pytest.raises(ValueError, match="row 1 is 1 in none"):
            load({"site": OneHotColumn(["femur", "tibia"])}, in_records=site)
        site["tibia"] = ["0", "1"]
        cohort = load({"site": OneHotColumn(["femur", "tibia"])}, in_records=site)
        assert cohort.data["site"].tolist() == ["tibia", "tibia", "femur"]

    def test_columns_of_two_tables_are_refused(self, load):
        message = "column 'femur' is in the image table and column 'tibia' in the clinical table"
        with pytest.raises(ValueError, match=message):
            load(
                {"site": OneHotColumn(["femur", "tibia"])}, in_records={"tibia": [0, 1]}, femur="1"
            )

    def test_the_label_is_no_part_of_an_input(self, load):
        with pytest.raises(ValueError, match="target='femur' is not allowed"):
            load(
                {"site": OneHotColumn(["femur", "tibia"]), "target": "femur"},
                femur=["1", "1", "0"],
                tibia=["0", "0", "1"],
            )

    @pytest.mark.parametrize(
        "options",
        [
            {"columns": "femur"},
            {"columns": ["femur"]},
            {"columns": ["femur", "femur"]},
            {"columns": ["1", 1]},
            {"columns": [None, "femur"]},
            {"columns": SITES, "none": ""},
            {"columns": SITES, "none": "NA"},
            {"columns": SITES, "none": "femur"},
            {"columns": SITES, "none": None},
            {"columns": SITES, "several": "first"},
        ],
        ids=str,
    )
    def test_value_out_of_its_set_is_refused(self, options):
        with pytest.raises(ValueError, match="is not allowed; allowed: "):
            OneHotColumn(**options)

    def test_repr_is_what_one_would_type(self):
        column = OneHotColumn(SITES, none="other", several="keep")
        assert eval(repr(column)) == column  # noqa: S307
        assert hash(column) == hash(OneHotColumn(tuple(SITES), none="other", several="keep"))

    @FEW
    @given(
        places=st.lists(st.integers(0, 2), min_size=3, max_size=3),
        form=st.sampled_from([str, int, float, bool, lambda digit: str(float(digit))]),
        empty=st.lists(st.booleans(), min_size=9, max_size=9),
    )
    def test_one_1_a_row_is_always_its_column(self, load, places, form, empty):
        table = np.zeros((3, 3), dtype=object)
        table[range(3), places] = 1
        cells = [
            "" if is_empty and not digit else form(digit)
            for digit, is_empty in zip(table.ravel(), empty, strict=True)
        ]
        rows = [cells[:3], cells[3:6], cells[6:]]
        assert one_hot(load, *rows).tolist() == [SITES[place] for place in places]

    @FEW
    @given(
        cells=st.lists(
            st.sampled_from(["0", "1", "", 0, 1.0, None, "x", b"1", 2]), min_size=9, max_size=9
        ),
        none=st.sampled_from(["error", "missing", "other"]),
        several=st.sampled_from(["error", "keep"]),
    )
    def test_any_cells_are_read_or_refused(self, load, cells, none, several):
        rows = [cells[:3], cells[3:6], cells[6:]]
        allowed = {*SITES, "other"} if none == "other" else set(SITES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # left out, as it has no value
            try:
                got = one_hot(load, *rows, none=none, several=several)
            except ValueError as error:
                assert "row" in str(error)  # noqa: PT017
                return
            except KeyError:
                return
        for row, category in zip(rows, got, strict=True):
            ones = [site for site, cell in zip(SITES, row, strict=True) if _is_one(cell)]
            if ones:
                assert category == " + ".join(ones)
            else:
                assert pd.isna(category) or category in allowed - set(SITES)


def _is_one(cell):
    return not isinstance(cell, bytes) and str(cell) in ("1", "1.0")
