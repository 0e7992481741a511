"""Cases 99 to 102 and 105 of the catalogue: numbers of tables, as a user meets them."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

import skosfusion.datasets
from skosfusion.datasets import AgeColumn, KitColumn, load_cohort
from skosfusion.exceptions import TableError
from skosfusion.preprocessing import AgeScaler, KitRangeScaler, make_clinical_transformer

LDH = {"ldh": ("LDH", 120, 250)}


@pytest.fixture
def load(folder, table):
    """Load a table with these values, three rows or a multiple of it."""

    def load(columns=None, **values):
        n_rows = len(next(iter(values.values())))
        rows = pd.concat([table] * (n_rows // 3), ignore_index=True)
        cells = {name: pd.Series(cells, dtype=object) for name, cells in values.items()}
        return load_cohort(rows.assign(**cells), image_folder=folder, columns=columns).data

    return load


def typed(message, option):
    """Return the first declaration in a message that holds this option."""
    texts = re.findall(r"columns=(\{'\w+': .*?\)\})", message)
    return eval(next(text for text in texts if option in text), vars(skosfusion.datasets))  # noqa: S307


def refused(load, columns, match, **values):
    with pytest.raises(ValueError, match=match) as caught:
        load(columns, **values)
    return str(caught.value)


# 99: limits of an assay

LIMITS = [
    ("<5", 5),
    (">1200", 1200),
    ("> 1200", 1200),
    ("≤5", 5),
    (">=1200.5", 1200.5),
    ("<.5", 0.5),
]
LIMITS += [("less than 5", 5), ("kleiner 5", 5), ("< 5,0", 5), (">1200 U/l", 1200), ("<5*", 5)]


@pytest.mark.parametrize(
    ("cell", "value"),
    LIMITS,
)
def test_case_99_limits_of_the_assay(load, cell, value):
    """Values such as "<5" or ">1200": ValueError; declared, the limit itself is read."""
    message = refused(
        load, LDH, f"'{re.escape(cell)}' .* is a limit of the assay", LDH=["180", cell, "200"]
    )
    assert "na_values" not in message
    data = load(typed(message, "censored='limit'"), LDH=["180", cell, "200"])
    assert data["ldh"].tolist() == [180, value, 200]


@pytest.mark.parametrize("cell", ["<LOD", "below LOD", "nicht messbar", "n.n.", "undetectable"])
def test_case_99_limit_without_a_number(load, cell):
    """A value below a limit that is not named: ValueError, which does not call it missing."""
    message = refused(load, LDH, "beyond a limit of the assay", LDH=["180", cell, "200"])
    assert "na_values" not in message


def test_case_99_thousands_at_a_limit(load):
    """A limit such as ">1.200" beside "980": ValueError, it is not read as 1.2."""
    columns = {"ldh": KitColumn("LDH", 120, 250, censored="limit")}
    message = refused(load, columns, "points between thousands", LDH=[">1.200", "980", "200"])
    columns = {"ldh": KitColumn("LDH", 120, 250, censored="limit", decimal=",")}
    assert "decimal=','" in message
    assert load(columns, LDH=[">1.200", "980", "200"])["ldh"][0] == 1200


@pytest.mark.parametrize("cell", [np.inf, "inf", "+Inf", "Infinity"])
def test_case_99_infinity(load, cell):
    """inf and -inf: ValueError; declared, the largest and the smallest value of the column."""
    low = -np.inf if isinstance(cell, float) else "-inf"
    for cells, value in (([180, cell, 200], 200), ([180, low, 200], 180)):
        message = refused(load, LDH, "limits? of the assay", LDH=cells)
        assert "leave the cell empty" not in message
        data = load(typed(message, "censored='limit'"), LDH=cells)
        assert data["ldh"].tolist() == [180, value, 200]


def test_case_99_in_the_transformers():
    """Such values in a table that we did not load: the same option, limits of the training rows."""
    X = pd.DataFrame({"ldh": ["<130", "180", "inf", ">300", "200"]})
    with pytest.raises(ValueError, match="censored='limit'"):
        KitRangeScaler(120, 250).fit(X)
    scaler = KitRangeScaler(120, 250, censored="limit").fit(X)
    expected = (np.array([130, 180, 300, 300, 200]) - 120) / 130
    np.testing.assert_allclose(scaler.transform(X).ravel(), expected, rtol=1e-6)
    new = pd.DataFrame({"ldh": [np.inf, -np.inf, 900.0]})
    np.testing.assert_allclose(
        scaler.transform(new).ravel() * 130 + 120, [300, 130, 900], rtol=1e-5
    )
    kits = {"ldh": ("ldh", 120, 250)}
    options = {"image": None, "gender": None, "age": None, "kits": kits, "censored": "limit"}
    out = make_clinical_transformer(**options).fit_transform(X)["ldh"]
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_case_99_limits_of_a_kit():
    """A limit of the normal range that is written "<130": ValueError, also where values may be."""
    X = pd.DataFrame({"ldh": ["<130", "180"], "low": ["<120", "120"], "high": [250, 250]})
    with pytest.raises(ValueError, match=r"'<120'.*one number; write it without") as caught:
        KitRangeScaler(censored="limit").fit(X)
    assert "censored=" not in str(caught.value)


def test_case_99_nothing_but_infinities(load):
    """A column of nothing but infinities: ValueError, for no limit is known."""
    columns = {"ldh": KitColumn("LDH", 120, 250, censored="limit")}
    refused(load, columns, "no value but infinite ones", LDH=["inf", "-inf", "inf"])


def test_case_99_ages_over_89(load):
    """The age ">89" of tables without names: read as 89 where declared."""
    message = refused(load, None, "'>89' .* limit", age=["14", ">89", "20"])
    assert load(typed(message, "'limit'"), age=["14", ">89", "20"])["age"].tolist() == [14, 89, 20]


# 100: what is not an age


def followed(table, message):
    """Follow the line of pandas in a message."""
    line = re.search(r"(table\['age'\] = .*?)(?:, with|$)", message)[1]
    scope = {"table": table.copy(), "pd": pd}
    exec(line, scope)  # noqa: S102
    return scope["table"]["age"]


DATES = ["1998-03-05", "2001-12-24", "2004-07-30"]
YEARS = (pd.Timestamp("2020-12-31") - pd.to_datetime(pd.Series(DATES))).dt.days / 365.25


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ([1998, 2001, 2004], "years of birth"),
        ([19980305, 20011224, 20040730], "YYYYMMDD"),
        ([35859, 37249, 38198], "Excel counts days"),
        (["05.03.1998", "24.12.2001", "30.07.2004"], "is a date"),
        (["5.3.98", "24.12.01", "30.7.04"], "is a date"),
        (["05/03/1998", "24/12/2001", "30/07/2004"], "is a date"),
        (DATES, "is a date"),
        (pd.to_datetime(DATES), "date of birth"),
    ],
    ids=["years", "number", "Excel", "points", "short", "slashes", "ISO", "datetime"],
)
def test_case_100_dates_and_years_of_birth(ages, said):
    """Years or dates of birth among ages: an error that says so; its line of pandas gives ages."""
    table = pd.DataFrame({"age": ages})
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        AgeScaler().fit(table)
    exact = [22, 19, 16] if said == "years of birth" else YEARS
    np.testing.assert_allclose(followed(table, str(caught.value)), exact)


def test_case_100_in_the_loader(load):
    """A date in a column of ages to load: ValueError with the declaration that makes ages."""
    message = refused(load, None, "is a date, not a number; if it is the date of b", age=DATES)
    columns = typed(message.replace("DATE", "2020-12-31"), "date=")
    np.testing.assert_allclose(load(columns, age=DATES)["age"], YEARS)


def test_case_100_one_year_of_birth():
    """One year of birth among ages: the hint says so."""
    with pytest.raises(ValueError, match=r"row 1 .* looks like a year of birth"):
        AgeScaler().fit(pd.DataFrame({"age": [14, 1998, 20]}))


@pytest.mark.parametrize(
    ("ages", "unit"), [([3000.5, 5000, 6000], "days"), ([168, 180, 200], "mon")]
)
def test_case_100_days_and_months(ages, unit):
    """Ages in days or months: the hint says so, as before."""
    with pytest.raises(ValueError, match=f"ages in {unit}"):
        AgeScaler().fit(pd.DataFrame({"age": ages}))


# 101: notations


@pytest.mark.parametrize(
    ("cells", "option", "values"),
    [
        (["3,5", "4,25", "100"], "decimal=','", [3.5, 4.25, 100]),
        (["1.200,5", "980", "12,5"], "decimal=','", [1200.5, 980, 12.5]),
        (["1.200", "980", "1.450"], "decimal='.'", [1.2, 980, 1.45]),
        (["1,200.5", "980", "12.5"], "decimal='.'", [1200.5, 980, 12.5]),
        (["1,200", "980", "12,5"], "decimal=','", [1.2, 980, 12.5]),
        (["1'200", "980", "12.5"], "decimal='.'", [1200, 980, 12.5]),
        (["1 200", "980", "12.5"], "decimal='.'", [1200, 980, 12.5]),
        (["1\u202f200", "980", "12.5"], "decimal='.'", [1200, 980, 12.5]),
        (["1.200.300", "980", "12"], "decimal=','", [1200300, 980, 12]),
        (["12 U/l", "14U/l", "15"], "unit='U/l'", [12, 14, 15]),
        (["12 10^9/l", "14", "15"], None, None),
        (["12%", "14 %", "15"], "unit='%'", [12, 14, 15]),
        (["312 H", "14", "15"], "unit='H'", [312, 14, 15]),
        (["12 µmol/l", "14", "15"], "unit='µmol/l'", [12, 14, 15]),
        (["12\u00a0U/l", "14", "15"], "unit='U/l'", [12, 14, 15]),
        (["5. März 1998", "14", "15"], None, None),
    ],
)
def test_case_101_notations_of_numbers(load, cells, option, values):
    """Decimal commas, marks between thousands, units: ValueError; declared, the right number."""
    message = refused(load, LDH, "cannot read .* in column 'LDH', row", LDH=cells)
    if option:
        data = load(typed(message, option), LDH=cells)
        assert data["ldh"].tolist() == values


def test_case_101_a_unit_that_ends_in_another(load):
    """Several units of a column: the longest that fits is taken off."""
    columns = {"ldh": KitColumn("LDH", 120, 250, unit=("/l", "10^9/l"))}
    assert load(columns, LDH=["12 10^9/l", "14 /l", "15"])["ldh"].tolist() == [12, 14, 15]


@pytest.mark.parametrize("cells", [["1.200", "980", "1.450"], ["1.200", "3.400", "15"]])
def test_case_101_points_between_thousands(load, cells):
    """Points that may stand between thousands ("1.200" beside "980"): ValueError, both remedies."""
    refused(load, LDH, r"points between thousands.* decimal=','", LDH=cells)
    columns = {"ldh": KitColumn("LDH", 120, 250, decimal=",")}
    assert load(columns, LDH=cells)["ldh"][0] == 1200


@pytest.mark.parametrize(
    "cells",
    [
        ["1.250", "0.981", "1.402"],
        ["105.123", "98.512", "77.3"],
        ["1.200", "1.450", "1.981"],
        ["1.5", "200", "1.234"],
        ["1.234", "5", "7"],
        ["1e3", "12", "3.125"],
    ],
)
def test_case_101_sound_decimals(load, cells):
    """Decimals with three places, and whole numbers beside other decimals: read as they are."""
    data = load({"x": KitColumn("LDH", 0, 250)}, LDH=cells)
    assert data["x"].tolist() == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    ("options", "cell"),
    [
        ({"decimal": ","}, "3.5"),
        ({"decimal": ","}, "1,200.5"),
        ({"decimal": "."}, "3,5"),
        ({"decimal": "."}, "1.200,5"),
        ({"unit": "U/l"}, "12 kU/l"),
        ({"unit": "U/l"}, "12 u/L"),
        ({"unit": "g"}, "12 mg"),
    ],
)
def test_case_101_declared_and_written_otherwise(load, options, cell):
    """A cell in another notation than that declared: ValueError, it is never another number."""
    columns = {"ldh": KitColumn("LDH", 120, 250, **options)}
    refused(load, columns, "cannot read", LDH=["180", cell, "200"])


def test_case_101_ages_of_dicom(load):
    """Ages such as "045Y": read where declared, and "006M" beside them as half a year."""
    message = refused(load, None, "has 'Y' behind", age=["045Y", "050Y", "012Y"])
    columns = typed(message, "unit='Y'")
    assert load(columns, age=["045Y", "050Y", "012Y"])["age"].tolist() == [45, 50, 12]
    message = refused(load, columns, "is an age in months", age=["045Y", "006M", "012Y"])
    columns = typed(message, "unit=('Y', 'M')")
    assert load(columns, age=["045Y", "006M", "012Y"])["age"].tolist() == [45, 0.5, 12]


# 102: codes for a missing value


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        ([150, 180, 9999, 200, 9999, 220], "9999 in 2 of 6 rows"),
        ([150, 180, 170, 200, 999, 220], "999 in 1 of 6 rows"),
        ([150, 180, -1, 200, -9, 220], "-9 in 1 of 6 rows and -1 in 1 of 6 rows"),
        (["150", "180", "99999", "200", "210", "220"], "99999 in 1 of 6 rows"),
        ([150, 180, 999.9, 200, 999.9, 220], "999.9 in 2 of 6 rows"),
        ([220, 9999, 9999, 9999, 9999, 9999], "9999 in 5 of 6 rows"),
        ([220, 190, 150, 32767, 180, 200], "32767 in 1 of 6 rows"),
        ([220, 190, 150, 0, 0, 200], "0 in 2 of 6 rows"),
    ],
)
def test_case_102_codes_for_missing(load, cells, count):
    """9999, 999.9, -1 and the like, far from others: a warning with the count and the remedy."""
    with pytest.warns(UserWarning, match=f"column 'LDH' holds {count}") as caught:
        load(LDH, LDH=cells)
    [warning] = caught
    columns = typed(str(warning.message), "na_values=(")
    data = load(columns, LDH=cells)
    assert data["ldh"].isna().sum() == sum(int(part) for part in re.findall(r"in (\d)", count))
    assert data["ldh"].max() == 220
    kept = {"ldh": KitColumn("LDH", 120, 250, na_values=())}
    assert len(load(kept, LDH=cells)) == 6


def test_case_102_ages(load):
    """99 for an unknown age, among children: a warning."""
    ages = [12, 14, 99, 17, 99, 9]
    with pytest.warns(UserWarning, match="column 'age' holds 99 in 2 of 6 rows") as caught:
        load(None, age=ages)
    columns = typed(str(caught[0].message), "na_values=(99,)")
    assert columns == {"age": AgeColumn(na_values=(99,))}
    assert load(columns, age=ages)["age"].max() == 17


def test_case_102_limits_of_a_kit(load):
    """Codes in the limits of a kit: a warning whose remedy makes them missing there."""
    cells = {"LDH": [150, 180, 200] * 2, "low": [120] * 6, "high": [250, 9999, 250, 240, 9999, 230]}
    columns = {"ldh": ("LDH", "low", "high")}
    with pytest.warns(UserWarning, match="column 'high' holds 9999 in 2 of 6 rows") as caught:
        load(columns, **cells)
    [warning] = caught
    data = load(typed(str(warning.message), "na_values=("), **cells)
    assert data["ldh_high"].isna().tolist() == [False, True, False, False, True, False]


def test_case_102_one_age(load):
    """A code as the only age of a new table: ValueError that calls it so, no age in months."""
    scaler = AgeScaler().fit(pd.DataFrame({"age": [30.0, 40.0]}))
    with pytest.raises(ValueError, match="999 is a usual code for a missing value"):
        scaler.transform(pd.DataFrame({"age": [999.0]}))


def test_case_102_other_columns_keep_their_values(load):
    """A code declared for one column: the same number in another column stays."""
    columns = {"age": AgeColumn(na_values=[99]), "ldh": KitColumn("LDH", 50, 250)}
    data = load(columns, age=[12, 99, 14], LDH=[99, 100, 120])
    assert data["ldh"].tolist() == [99, 100, 120]


@pytest.mark.parametrize(
    ("kit", "cells"),
    [
        ((95, 100), [97, 98, 99, 99, 96, 95]),
        ((120, 250), [300, 700, 999, 800, 150, 90]),
        ((-2, 2), [-1, 0.5, 1, 2, 1.5, 0]),
        ((120, 250), [150, 9999, 12000, 800, 150, 90]),
        ((1.5, 7.7), [0, 0, 0.2, 4, 5, 6]),
        ((0, 5), [0, 0, 3, 4, 5, 6]),
        ((120, 250), [300, 600, 999, 500, 150, 90]),
    ],
)
def test_case_102_measurements(load, kit, cells):
    """Such numbers among others like them: no warning."""
    load({"x": ("LDH", *kit)}, LDH=cells)


@pytest.mark.parametrize("make", [AgeScaler, lambda: KitRangeScaler(10, 30)])
def test_case_102_in_the_transformers(make):
    """Codes in a table that is not loaded by us: a warning, whose line of pandas helps."""
    table = pd.DataFrame({"x": [12.0, 14, 99, 17, 99, 9]})
    with pytest.warns(UserWarning, match="'x' holds 99 in 2 of 6 rows") as caught:
        make().fit(table)
    line = re.search(r"table\['x'\] = .*", str(caught[0].message))[0]
    exec(line, {"table": table})  # noqa: S102
    make().fit(table)
    assert table["x"].isna().sum() == 2


# 105: once, not once a fold


def test_case_105_a_warning_comes_once(folder, table):
    """Warnings of units and codes: once for a cross-validation, not once a fold."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": [14.0] * 30, "alp": rng.uniform(500, 800, 30)})
    X.loc[::3, "age"] = 99.0
    kits = {"alp": ("alp", 40, 130)}
    clinical = make_clinical_transformer(image=None, gender=None, kits=kits)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline = make_pipeline(clinical, DecisionTreeClassifier())
        cross_validate(pipeline, X, np.arange(30) % 2, cv=5)
    said = [str(warning.message) for warning in caught]
    assert len(said) == 2
    assert "about 10" in said[1] or "about 10" in said[0]
    with pytest.warns(UserWarning, match="about 10"):
        KitRangeScaler(40, 130).fit(X[["alp"]])


def test_case_105_loaded_codes_are_not_said_again(load):
    """Codes that the loader warned of: the transformers do not repeat it."""
    with pytest.warns(UserWarning, match="9999"):
        data = load(LDH, LDH=[150, 180, 9999, 200, 9999, 220])
    kits = {"ldh": ("ldh", "ldh_low", "ldh_high")}
    transformer = make_clinical_transformer(gender=None, age=None, kits=kits)
    transformer.fit(data)
    transformer.fit(data.iloc[1:])


def test_case_106_all_problems_of_the_transformer():
    """Several columns that the transformer refuses: one error that lists them."""
    X = pd.DataFrame({"gender": ["x", "F"], "age": [14, 200], "alp": [1, "six"]})
    transformer = make_clinical_transformer(image=None, kits={"alp": ("alp", 40, 130)})
    with pytest.raises(TableError, match="3 problems") as caught:
        transformer.fit(X)
    for part in ("unknown gender 'x'", "age 200", "'six'"):
        assert part in str(caught.value)
    sound = pd.DataFrame({"gender": ["M", "F"], "age": [14, 20], "alp": [50, 60]})
    transformer.fit(sound)
    with pytest.raises(TableError, match="3 problems"):
        transformer.transform(X)
    with pytest.raises(ValueError, match="2 problems"):
        transformer.transform(sound[["alp"]])
