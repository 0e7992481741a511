import copy
import pickle

import pandas as pd
import pytest

from skosfusion import make_clinical_transformer
from skosfusion.datasets import KeptColumn, exclude_rows, load_cohort


@pytest.fixture
def load(folder, images, records):
    images = images.assign(
        view=["AP", " PA ", ""],
        taken=["2020-01-31", "2020-02-01 10:15", None],
        days=["-3", "1.5", "NA"],
    )
    records = records.assign(hospital=["north", "south"])

    def load(images=images, **columns):
        return load_cohort(images, records, image_folder=folder, columns=columns)

    return load


def test_kept_columns_are_beside_the_inputs_and_not_among_them(load):
    cohort = load(
        site=KeptColumn("hospital"),
        projection=KeptColumn("view"),
        acquired=KeptColumn("taken", kind="date"),
        offset=KeptColumn("days", kind="number"),
    )
    plain = load()
    pd.testing.assert_frame_equal(cohort.data, plain.data)
    assert list(cohort.kept) == ["site", "projection", "acquired", "offset"]
    assert list(cohort.frame) == [*cohort.data, *cohort.kept, "diagnosis"]
    assert cohort.kept["site"].tolist() == ["south", "south", "north"]
    assert cohort.kept["projection"].tolist()[:2] == ["AP", "PA"]
    assert cohort.kept["projection"].isna().tolist() == [False, False, True]
    assert cohort.kept["acquired"][1] == pd.Timestamp("2020-02-01 10:15")
    assert cohort.kept["acquired"].isna().tolist() == [False, False, True]
    assert cohort.kept["offset"].tolist()[:2] == [-3, 1.5]
    assert "Kept beside the inputs: site, projection, acquired, offset" in cohort.DESCR
    assert cohort.kits == plain.kits


def test_a_transformer_does_not_take_them_as_inputs(load):
    cohort = load(site=KeptColumn("hospital"), offset=KeptColumn("days", kind="number"))
    for table in (cohort.data, cohort.frame):
        out = make_clinical_transformer(kits=cohort.kits).fit_transform(table)
        assert list(out) == ["image", "gender", "age", "alp"]


def test_columns_that_are_not_read_are_named(load):
    cohort = load(site=KeptColumn("hospital"))
    assert "Columns not read: view, taken, days" in cohort.DESCR


def test_rows_keep_their_values_when_others_are_left_out(load, images):
    table = images.assign(scanner=["a", "b", "c"])
    table = exclude_rows(table, table["image"] == "b.png", "blurred")
    assert load(table, scanner=KeptColumn("scanner")).kept["scanner"].tolist() == ["a", "c"]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"site": KeptColumn("hospitel")}, "no column 'hospitel' .*did you mean 'hospital'"),
        ({"x": KeptColumn("view", kind="date")}, "column 'view', row 0: 'AP' is not an ISO"),
        ({"x": KeptColumn("view", kind="number")}, "column 'view', row 0"),
        ({"alp_low": KeptColumn("view")}, "name of a kept column='alp_low' .* input"),
        ({"diagnosis": KeptColumn("view")}, "name of a kept column='diagnosis'"),
        ({"alp": KeptColumn("view")}, "name of a kept column='alp'"),
        ({"age": KeptColumn("view")}, r"columns\['age'\]=KeptColumn"),
        (
            {"x": KeptColumn("taken", kind="date", date_format="%d.%m.%Y")},
            "row 0: '2020-01-31' is not a date written as '%d.%m.%Y'",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(load, columns, match):
    with pytest.raises(ValueError, match=match):
        load(**columns)


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (["31.03.2020"] * 3, {"date_format": "%d.%m.%Y"}, "2020-03-31"),
        ([20200331] * 3, {"date_format": "%Y%m%d"}, "2020-03-31"),
        ([20200331.0, 20200331.0, None], {"date_format": "%Y%m%d"}, "2020-03-31"),
        (["2020-03-31T10:00:00+02:00"] * 3, {}, "2020-03-31 08:00"),
        (pd.to_datetime(["2020-03-31"] * 3), {}, "2020-03-31"),
        (["2020-03-31", "", "unknown"], {"na_values": ["unknown"]}, "2020-03-31"),
    ],
)
def test_dates_are_read_as_declared(load, images, cells, options, expected):
    column = KeptColumn("when", kind="date", **options)
    kept = load(images.assign(when=cells), when=column).kept["when"]
    assert kept.dtype == "datetime64[us]"
    assert kept[0] == pd.Timestamp(expected)


@pytest.mark.parametrize("cell", [20200331, True, "31.03.2020", "now", "9" * 20, (1, 2)])
def test_what_is_not_a_date_is_an_error_with_its_row(load, images, cell):
    table = images.assign(when=pd.Series([None, cell, None], dtype=object))
    with pytest.raises(ValueError, match="column 'when', row 1"):
        load(table, when=KeptColumn("when", kind="date"))


def test_numbers_that_look_like_codes_are_warned_of(folder, records):
    images = pd.DataFrame({"image": ["a.png"] * 40, "patient_id": ["01"] * 39 + ["2"]})
    images["dose"] = [1.0] * 36 + [9999.0] * 4
    with pytest.warns(UserWarning, match="KeptColumn.*na_values="):
        load_cohort(
            images,
            records,
            image_folder=folder,
            columns={"dose": KeptColumn("dose", kind="number")},
        )


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "category"},
        {"date_format": "%Y"},
        {"kind": "date", "date_format": "year"},
        {"decimal": ","},
        {"kind": "date", "unit": "days"},
        {"na_values": "x"},
    ],
)
def test_options_out_of_their_set_are_refused(options):
    with pytest.raises(ValueError, match="is not allowed; allowed"):
        KeptColumn("x", **options)


def test_a_declaration_is_a_value():
    column = KeptColumn("x", kind="number", na_values=[9])
    assert {column, copy.deepcopy(column), pickle.loads(pickle.dumps(column))} == {column}
    assert repr(column) == "KeptColumn(column='x', kind='number', na_values=(9,))"
