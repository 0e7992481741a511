import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from skosfusion import make_clinical_transformer
from skosfusion.datasets import (
    AgeColumn,
    GenderColumn,
    ImageColumn,
    KitColumn,
    PatientColumn,
    TargetColumn,
    load_cohort,
)

DECLARATIONS = {
    "image": ImageColumn("file"),
    "patient_id": PatientColumn("record"),
    "gender": GenderColumn("sex"),
    "age": AgeColumn("years"),
    "alp": KitColumn("ALP", "from", "to"),
    "target": TargetColumn("finding"),
}
SHORT = {
    "image": "file",
    "patient_id": "record",
    "gender": "sex",
    "age": "years",
    "alp": ("ALP", "from", "to"),
    "target": "finding",
}


@pytest.fixture
def load(folder, images, records):
    """Load tables whose columns have other names than ours, some of them declared otherwise."""
    images = images.set_axis(["file", "record"], axis=1)
    records = records.set_axis(["record", "sex", "years", "ALP", "from", "to", "finding"], axis=1)

    def load(**changes):
        return load_cohort(images, records, image_folder=folder, columns=SHORT | changes)

    return load


@pytest.fixture
def expected(folder, images, records):
    return load_cohort(images, records, image_folder=folder)


class TestKinds:
    @pytest.mark.parametrize("name", DECLARATIONS)
    def test_declaration_is_the_same_as_what_is_short_for_it(self, load, expected, name):
        got = load(**{name: DECLARATIONS[name]})
        pd.testing.assert_frame_equal(got.data, expected.data)
        assert got.target.tolist() == expected.target.tolist()
        assert (got.kits, got.target_names, got.DESCR) == (
            expected.kits,
            expected.target_names,
            expected.DESCR,
        )

    def test_labels_keep_the_name_of_their_column_in_the_frame(self, load):
        assert load().frame.columns[-1] == "finding"

    def test_list_is_short_for_a_kit_as_well(self, load, expected):
        pd.testing.assert_frame_equal(load(alp=["ALP", "from", "to"]).data, expected.data)

    def test_text_is_the_value_of_a_kit_of_the_paper(self, folder, images, records):
        records = records.rename(columns={"alp": "ALP"})
        cohort = load_cohort(images, records, image_folder=folder, columns={"alp": "ALP"})
        assert cohort.data["alp_high"].tolist() == [150, 150, 260]

    @pytest.mark.parametrize("name", ["gender", "age"])
    def test_none_leaves_an_optional_column_out(self, load, expected, name):
        assert set(load(**{name: None}).data) == set(expected.data) - {name}

    def test_none_leaves_a_kit_of_the_paper_out(self, folder, images, records):
        cohort = load_cohort(images, records, image_folder=folder, columns={"alp": None})
        assert cohort.kits == {}

    def test_kits_come_in_the_order_of_their_declaration(self, load):
        cohort = load(crp=KitColumn("years", 0, 5), alp=("ALP", 40, 120))
        assert list(cohort.kits) == ["alp", "crp"]
        assert cohort.data.columns.tolist()[-3:] == ["crp", "crp_low", "crp_high"]

    def test_declared_column_must_be_there_and_the_remedy_is_named(self, load):
        message = r"no column 'sexx' in .* did you mean 'sex'\? Name .* columns=\{'gender': "
        with pytest.raises(ValueError, match=message):
            load(gender="sexx")

    def test_column_may_have_a_name_that_is_not_text(self, folder, images, records):
        images = images.rename(columns={"image": 0})
        cohort = load_cohort(images, records, image_folder=folder, columns={"image": 0})
        assert len(cohort.data) == 3


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "what", "allowed"),
        [
            ("image", TargetColumn(), r"the name of a column, or ImageColumn\(\.\.\.\)"),
            ("image", None, r"the name of a column, or ImageColumn\(\.\.\.\)"),
            ("image", ImageColumn, r"the name of a column, or ImageColumn\(\.\.\.\)"),
            ("patient_id", ["record"], r"the name of a column, or PatientColumn\(\.\.\.\)"),
            ("gender", AgeColumn(), r"or GenderColumn\(\.\.\.\), or None to leave it out"),
            ("age", {}, r"or AgeColumn\(\.\.\.\), or None to leave it out"),
            ("target", KitColumn("a", 1, 2), r"or TargetColumn\(\.\.\.\)"),
            ("target", 3, "the name of a column, of type str"),
            ("alp", 3, r"\(value, low, high\): a column, and two other columns or two numbers"),
            ("alp", ("ALP", 5), r"\(value, low, high\): a column, and two other columns or"),
            ("crp", ("CRP", 5, 1), r"\(value, low, high\): a column, and two other columns or"),
        ],
    )
    def test_wrong_kind_is_refused_with_what_is_allowed(self, load, name, what, allowed):
        message = rf"(columns\['{name}'\]|column)=.*; allowed: .*{allowed}"
        with pytest.raises(ValueError, match=message):
            load(**{name: what})

    @pytest.mark.parametrize(
        ("name", "nearest"), [("patientid", "patient_id"), ("genders", "gender"), ("ALP", None)]
    )
    def test_unknown_name_is_refused_with_the_nearest(self, load, name, nearest):
        hint = f"; did you mean '{nearest}'\\?$" if nearest else r"\(value, low, high\)$"
        with pytest.raises(ValueError, match=rf"key of columns='{name}' .*{hint}"):
            load(**{name: "MRN"})

    @pytest.mark.parametrize("name", ["", "a__b", 3])
    def test_kit_of_an_impossible_name_is_refused(self, load, folder, images, records, name):
        columns = {name: KitColumn("alp", 1, 2)}
        with pytest.raises(ValueError, match="name of a kit="):
            load_cohort(images, records, image_folder=folder, columns=columns)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: ImageColumn(missing="drop"), "missing='drop' .* 'error' or 'keep'"),
            (lambda: ImageColumn(outside_links=True), "outside_links=True .* 'error' or 'allow'"),
            (lambda: ImageColumn(["file"]), r"column=\['file'\] .* the name of a column"),
            (lambda: PatientColumn(["a"]), r"column=\['a'\] .* the name of a column"),
            (lambda: PatientColumn("record", same_in=["age"]), "column='record' .* None with"),
            (lambda: PatientColumn(same_in=[]), r"same_in=\[\] .* one or more different columns"),
            (lambda: PatientColumn(same_in=["age", "age"]), "same_in=.* different columns"),
            (lambda: PatientColumn(same_in="age"), "same_in='age' .* a list of"),
            (
                lambda: TargetColumn(positive=""),
                "positive='' .* a label, a list of labels, a pattern",
            ),
            (lambda: TargetColumn(label_conflicts="drop"), "label_conflicts='drop' is not allowed"),
            (lambda: KitColumn("alp", "low", 3), r"KitColumn=\('alp', 'low', 3\) is not allowed"),
        ],
    )
    def test_value_out_of_its_set_is_refused_by_name(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestObjects:
    def test_repr_is_what_one_would_type(self):
        assert repr(ImageColumn()) == "ImageColumn()"
        for declaration in DECLARATIONS.values():
            assert eval(repr(declaration)) == declaration  # noqa: S307

    @pytest.mark.parametrize("declaration", DECLARATIONS.values(), ids=repr)
    def test_copies_are_equal(self, declaration):
        assert copy.deepcopy(declaration) == declaration
        assert pickle.loads(pickle.dumps(declaration)) == declaration

    def test_remedies_are_declarations_to_type(self, folder, images, records):
        images.loc[1, "image"] = None
        columns = {"image": ImageColumn(outside_links="allow")}
        remedy = r"columns={'image': ImageColumn\(missing='keep', outside_links='allow'\)}$"
        with pytest.raises(ValueError, match=remedy):
            load_cohort(images, records, image_folder=folder, columns=columns)


class TestRangesWithOneEnd:
    def test_they_are_no_columns_and_reach_the_transformer(self, folder, images, records):
        records["CRP"] = ["<3", "10"]
        column = KitColumn("CRP", None, 5, censored="limit")
        cohort = load_cohort(images, records, image_folder=folder, columns={"crp": column})
        assert cohort.kits["crp"] == ("crp", None, 5)
        assert [name for name in cohort.data if name.startswith("crp")] == ["crp"]
        assert cohort.data["crp"].tolist() == [10, 10, 3]
        made = make_clinical_transformer(kits={"crp": cohort.kits["crp"]})
        np.testing.assert_allclose(made.fit_transform(cohort.data)["crp"], [2, 2, 0.6], rtol=1e-6)

    @pytest.mark.parametrize("limits", [(None, None), (None, 0), (None, "crp_high"), (-1, None)])
    def test_an_end_is_a_number_above_0(self, limits):
        with pytest.raises(ValueError, match="one number above 0 and None for the end"):
            KitColumn("CRP", *limits)
