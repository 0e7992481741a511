"""Text files: what is sniffed is right and said, and what could be meant in two ways is refused."""

import logging
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skosfusion.datasets import AgeColumn, KeptColumn, KitColumn, load_cohort, read_table
from skosfusion.datasets._decimals import decimal_of

GERMAN = (
    "image;patient_id;gender;age;alp;alp_low;alp_high;diagnosis\n"
    "a.png;007;w;14,5;1.200,5;40;130;größer\n"
    "b.png;008;m;15;90,25;40;130;nein\n"
    "c.png;009;m;16,75;100;40;130;nein\n"
)


def written(folder, text, encoding="utf-8", name="table.csv"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


class TestForms:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"])
    @pytest.mark.parametrize("separator", [";", "\t", "|"])
    def test_separators_and_encodings_are_sniffed(self, folder, encoding, separator):
        path = written(folder, GERMAN.replace(";", separator), encoding)
        table = read_table(path)
        assert table["diagnosis"].tolist() == ["größer", "nein", "nein"]
        assert table["patient_id"].tolist() == ["007", "008", "009"]
        assert table["age"].tolist() == ["14,5", "15", "16,75"]
        assert (table.dtypes == "str").all()

    def test_a_cohort_of_a_german_export_needs_no_declaration(self, folder):
        cohort = load_cohort(written(folder, GERMAN, "cp1252"))
        assert cohort.data["age"].tolist() == [14.5, 15, 16.75]
        assert cohort.data["alp"].tolist() == [1200.5, 90.25, 100]
        assert cohort.data["alp_low"].tolist() == [40, 40, 40]

    def test_what_was_sniffed_is_said_and_logged(self, folder, caplog):
        path = written(folder, GERMAN, "cp1252")
        with caplog.at_level(logging.INFO):
            cohort = load_cohort(path)
        said = (
            "table.csv: separated by ';', cp1252 (that of Windows in Western Europe), "
            "decimal ',' in 'age', 'alp'"
        )
        assert f"Read: {said}" in cohort.DESCR.splitlines()
        assert f"Read {said}" in caplog.messages

    def test_a_table_read_alone_gives_the_same_cohort(self, folder):
        path = written(folder, GERMAN)
        table = read_table(path)
        pd.testing.assert_frame_equal(load_cohort(table).frame, load_cohort(path).frame)
        some = load_cohort(table[table["gender"] == "m"])
        assert some.data["age"].tolist() == [15, 16.75]

    def test_two_separators_that_fit_are_refused_with_both(self, folder):
        path = written(folder, "name;x,y\na;1,2\n")
        with pytest.raises(ValueError, match=r"by ';' into 2 .* by ',' into 2 .*separator=';'"):
            read_table(path)
        assert read_table(path, separator=";").columns.tolist() == ["name", "x,y"]
        assert read_table(path, separator=",").columns.tolist() == ["name;x", "y"]

    @pytest.mark.parametrize(
        ("word", "encoding"),
        [("Männlich", "mac_roman"), ("Größe", "cp850"), ("Мужской", "cp1251"), ("男", "gb18030")],
    )
    def test_other_encodings_are_refused_with_both_readings(self, folder, word, encoding):
        path = written(folder, f"image,gender\na.png,{word}\n", encoding)
        with pytest.raises(ValueError, match=rf"line 2 would be .*'{word}' in {encoding}"):
            read_table(path)
        assert read_table(path, encoding=encoding)["gender"].tolist() == [word]

    @pytest.mark.parametrize(
        "word",
        [
            "Größe",
            "naïve",
            "à",
            "5 µg",
            "d\u2019une",
            "\u2013",
            "± 3",
            "Œuvre",
            "«ça»",
            "°C",
            "10 €",
        ],
    )
    def test_words_of_western_europe_read_well_as_windows(self, folder, word):
        path = written(folder, f"a;b\n{word};é\n", "cp1252")
        assert read_table(path)["a"].tolist() == [word]

    def test_quoted_separators_and_line_breaks_are_of_the_cells(self, folder):
        path = written(folder, 'a;b\n"x;y,z";"1\n2"\nu,v,w;3\n')
        assert read_table(path)["a"].tolist() == ["x;y,z", "u,v,w"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"separator": ";;"}, "separator=';;' is not allowed"),
            ({"decimal": ";"}, "decimal=';' is not allowed"),
            ({"encoding": "klingon"}, "encoding='klingon' is not allowed"),
            ({"encoding": "base64"}, "encoding='base64' is not allowed"),
            ({"sheet": "A"}, "sheet='A' is not allowed; allowed: None, as the table 'table.csv'"),
            ({"encoding": "ascii"}, "'ascii' codec can't decode"),
        ],
    )
    def test_options_out_of_their_set_are_refused(self, folder, options, said):
        with pytest.raises(ValueError, match=said):
            read_table(written(folder, GERMAN), **options)

    def test_what_is_no_path_is_refused(self):
        with pytest.raises(TypeError, match="source must be the path of a table, got DataFrame"):
            read_table(pd.DataFrame())

    @settings(max_examples=60, deadline=None)
    @given(
        data=st.data(),
        separator=st.sampled_from(";\t|,"),
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    )
    def test_what_a_program_writes_is_read_back_or_refused(
        self, tmp_path_factory, data, separator, encoding
    ):
        cell = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6)
        n_columns = data.draw(st.integers(2, 4))
        names = [f"c{i}" for i in range(n_columns)]
        row = st.tuples(*[cell] * n_columns)
        rows = data.draw(st.lists(row, min_size=1, max_size=6))
        path = tmp_path_factory.mktemp("t") / "t.csv"
        frame = pd.DataFrame(rows, columns=names, dtype="str")
        frame.to_csv(path, sep=separator, encoding=encoding, index=False, errors="strict")
        try:
            got = read_table(path)
        except ValueError:
            return
        assert got.columns.tolist() == names
        rows = rows[: len(got)]
        assert list(got.itertuples(index=False, name=None)) == rows


class TestDecimals:
    @pytest.mark.parametrize(
        ("texts", "sign"),
        [
            (["14,5", "3"], ","),
            (["1.200,5"], ","),
            (["1.200", "3,25"], ","),
            (["0,125"], ","),
            (["1234,567"], ","),
            (["14.5"], "."),
            (["1,200.5"], "."),
            (["0.125"], "."),
            (["1.200"], "?"),
            (["1,200", "3"], "?"),
            (["14,5", "14.5"], None),
            (["14", "x,y", "31.03.2020", "1.2.3"], None),
        ],
    )
    def test_the_sign_is_told_where_it_is_clear(self, texts, sign):
        assert decimal_of(texts) == sign

    def table(self, folder, *ages, low="40,5"):
        pairs = enumerate(zip("abc", ages, strict=True))
        rows = [f"{name}.png;{i};{age};{low};x" for i, (name, age) in pairs]
        return written(folder, "\n".join(["image;patient_id;age;other;diagnosis", *rows]))

    def test_what_reads_in_two_ways_is_refused_with_both(self, folder):
        path = self.table(folder, "1.200", "2.400", "3")
        with pytest.raises(ValueError, match=r"'1.200' may be 1200 or 1.200.*decimal=','.*'\.'"):
            load_cohort(path)
        for sign, ages in ((",", [1200, 2400, 3]), (".", [1.2, 2.4, 3])):
            cohort = load_cohort(path, columns={"age": AgeColumn(decimal=sign)})
            assert cohort.data["age"].tolist() == ages
            assert load_cohort(read_table(path, decimal=sign)).data["age"].tolist() == ages

    def test_a_column_with_points_keeps_them_beside_columns_with_commas(self, folder):
        path = self.table(folder, "12.5", "13", "1.25")
        assert load_cohort(path).data["age"].tolist() == [12.5, 13, 1.25]

    def test_values_at_a_limit_have_decimal_commas_too(self, folder):
        path = self.table(folder, "<12,5", "13,5", "14")
        columns = {"age": AgeColumn(censored="limit")}
        assert load_cohort(path, columns=columns).data["age"].tolist() == [12.5, 13.5, 14]

    def test_commas_separate_and_are_not_taken_for_decimals(self, folder):
        text = 'image,patient_id,age,diagnosis\na.png,1,"14,5",x\nb.png,2,"3,25",y\n'
        path = written(folder, text)
        with pytest.raises(ValueError, match="decimal comma"):
            load_cohort(path)
        assert load_cohort(read_table(path, decimal=",")).data["age"].tolist() == [14.5, 3.25]

    def test_numbers_of_other_declarations_follow_the_table(self, folder):
        columns = {"site": KeptColumn("other", kind="number"), "crp": KitColumn("other", None, 5)}
        cohort = load_cohort(self.table(folder, "1", "2", "3"), columns=columns)
        assert cohort.kept["site"].tolist() == cohort.data["crp"].tolist() == [40.5] * 3


class TestHeaders:
    @pytest.mark.parametrize("separator", [";", ","])
    def test_a_title_that_a_spreadsheet_exported_is_refused(self, folder, separator):
        text = "Report 2020;;\nimage;patient_id;diagnosis\na.png;1;x\n".replace(";", separator)
        path = written(folder, text)
        with pytest.raises(ValueError, match=r"lines of a title.*pd.read_csv\(path, skip") as e:
            read_table(path)
        line = str(e.value).partition("table = ")[2].partition(", with")[0]
        table = eval(line, {"pd": pd, "path": path})  # noqa: S307
        assert table.columns.tolist() == ["image", "patient_id", "diagnosis"]

    def test_a_row_of_units_is_refused(self, folder):
        rows = ["image;alp;ldh", ";U/l;U/l", "a.png;1;2", "b.png;3;4", "c.png;5;6"]
        path = written(folder, "\n".join(rows))
        with pytest.raises(ValueError, match=r"'U/l', 'U/l'.*one row of names: table = ") as e:
            read_table(path)
        line = str(e.value).partition("table = ")[2]
        assert len(eval(line, {"pd": pd, "path": path})) == 3  # noqa: S307

    def test_a_second_row_of_names_is_refused(self, folder):
        rows = ["image;Lab;;Patient", ";alp;ldh;age", "a.png;1;2;3", "b.png;3;4;5"]
        path = written(folder, "\n".join(rows).replace("Lab;;Patient", "Lab;;"))
        with pytest.raises(ValueError, match=r"2 columns hold values and have no name"):
            read_table(path)

    def test_words_for_missing_values_in_the_first_row_are_none(self, folder):
        rows = ["image;alp;ldh", "a.png;NA;n/a", "b.png;3;4", "c.png;5;6", "d.png;5;6"]
        assert len(read_table(written(folder, "\n".join(rows)))) == 4


class TestEmptyColumns:
    TEXT = (
        "image,patient_id,age,gender,alp,alp_low,alp_high,diagnosis\n"
        "a.png,1,,F,,40,130,x\nb.png,2,NA,M,,40,130,y\n"
    )

    def test_an_input_without_a_value_is_left_out_and_said(self, folder):
        path = written(folder, self.TEXT)
        with pytest.warns(UserWarning, match="'a(ge|lp)' of .* has no value in any of its 2 rows"):
            cohort = load_cohort(path)
        assert list(cohort.data) == ["image", "patient_id", "gender"]
        assert cohort.kits == {}
        for name in ("age", "alp"):
            assert f"Input left out, without any value: {name}" in cohort.DESCR
        assert "age" not in cohort.DESCR.partition("Columns not read: ")[2].partition("\n")[0]

    def test_so_is_a_declared_one(self, folder):
        path = written(folder, self.TEXT.replace(",NA,", ",99,").replace(",age", ",years"))
        columns = {"age": AgeColumn("years", na_values=[99]), "alp": None}
        with pytest.warns(UserWarning, match=r"'years' .*: the input 'age' is left out"):
            assert "age" not in load_cohort(path, columns=columns).data
        with pytest.warns(UserWarning, match="'alp'"):
            load_cohort(path, columns={"age": None})

    def test_declared_as_none_it_is_left_out_without_a_word(self, folder):
        load_cohort(written(folder, self.TEXT), columns={"age": None, "alp": None})

    @pytest.mark.parametrize("column", ["image", "patient_id", "diagnosis"])
    def test_what_must_be_there_is_still_an_error(self, folder, column):
        table = read_table(written(folder, self.TEXT)).assign(**{column: ""})
        with pytest.raises(ValueError, match=f"column '{column}'"):
            load_cohort(table, columns={"age": None, "alp": None})


@pytest.mark.parametrize(
    ("cell", "part"), [("3 Monate", "months"), ("6 months", "months"), ("10 Wochen", "weeks")]
)
def test_an_age_in_months_is_refused_with_both_remedies(folder, images, records, cell, part):
    records.loc[1, "age"] = cell
    with pytest.raises(ValueError, match=rf"'{cell}' .*an age in {part}, .*AgeColumn\(unit="):
        load_cohort(images, records, image_folder=folder)


def test_numbers_of_a_long_semicolon_table_are_those_of_its_source(folder):
    numbers = np.random.default_rng(0).normal(100, 30, 500).round(2)
    frame = pd.DataFrame({"image": "a.png", "patient_id": range(500), "crp": numbers})
    path = folder / "long.csv"
    frame.assign(diagnosis=["x", "y"] * 250).to_csv(path, sep=";", decimal=",", index=False)
    cohort = load_cohort(path, columns={"crp": KitColumn("crp", 0, 5)})
    np.testing.assert_array_equal(cohort.data["crp"], numbers)


def test_lines_of_nothing_take_no_time(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,3\n ,,\n4,,\n" + ",,\n" * 300_000 + "\xa0,,\n")
    started = time.monotonic()
    table = read_table(path)
    # Row by row, this took a minute.
    assert time.monotonic() - started < 20
    assert table.to_numpy().tolist() == [["1", "2", "3"], [" ", "", ""], ["4", "", ""]]
