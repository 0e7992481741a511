"""Workbooks: their values as text, and a clear error for what would be read as something else."""

import builtins
import datetime
import re
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from skosfusion import datasets
from skosfusion.datasets import KeptColumn, load_cohort, read_table, visible_sheets

from .workbooks import change_part, ods_cell, ods_row, write_ods, write_xlsx

pytest.importorskip("openpyxl")
pytest.importorskip("python_calamine")

HEAD = ["image", "patient_id", "age", "alp", "alp_low", "alp_high", "diagnosis"]
ROWS = [
    HEAD,
    ["a.png", "007", 14, 90.5, 40, 130, "ja"],
    ["b.png", "008", 15.25, 1200, 40, 130, "nein"],
    ["c.png", "009", None, 77.125, 40, 130, "nein"],
]
SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture(params=["xlsx", "ods"])
def book(request, folder):
    """A way to write rows into a workbook of each kind."""

    def write(rows, name="table", **sheets):
        path = folder / f"{name}.{request.param}"
        if request.param == "xlsx":
            return write_xlsx(path, rows, **sheets)
        return write_ods(
            path,
            *(ods_row(*("" if cell is None else cell for cell in row)) for row in rows),
            tables=[
                (name, "".join(ods_row(*row) for row in its), "") for name, its in sheets.items()
            ],
        )

    return write


class TestValues:
    def test_a_workbook_gives_the_cohort_of_its_values(self, book):
        path = book(ROWS)
        cohort = load_cohort(path)
        np.testing.assert_array_equal(cohort.data["age"], [14, 15.25, np.nan])
        assert cohort.data["alp"].tolist() == [90.5, 1200, 77.125]
        assert cohort.groups.tolist() == ["007", "008", "009"]
        assert f"Read: {path.name}: sheet 'Tabelle1'" in cohort.DESCR

    def test_cells_are_text_as_a_spreadsheet_shows_them(self, book):
        table = read_table(book([["a", "b", "c"], [17.0, 0.1 + 0.2, True], ["017", 1e-7, "x"]]))
        assert table["a"].tolist() == ["17", "017"]
        assert table["b"].tolist() == ["0.3", "1e-07"]
        assert table["c"].tolist() == ["True", "x"]
        assert (table.dtypes == "str").all()

    def test_dates_are_iso(self, folder):
        dates = [datetime.datetime(2020, 3, 31), datetime.datetime(2020, 3, 31, 10, 15)]
        times = [datetime.time(3, 4), datetime.timedelta(hours=30)]
        path = write_xlsx(folder / "t.xlsx", [["d", "t"], *zip(dates, times, strict=True)])
        table = read_table(path)
        assert table["d"].tolist() == ["2020-03-31", "2020-03-31 10:15:00"]
        assert table["t"].tolist() == ["03:04:00", "30:00:00"]
        path = write_ods(folder / "t.ods", ods_row("d", "t"), ods_row("2020-03-31", "x"))
        assert read_table(path)["d"].tolist() == ["2020-03-31"]

    def test_dates_of_a_sheet_are_read_as_dates(self, folder):
        rows = [[*HEAD, "seen"], [*ROWS[1], datetime.date(2020, 3, 31)]]
        columns = {"when": KeptColumn("seen", kind="date")}
        cohort = load_cohort(write_xlsx(folder / "t.xlsx", rows), columns=columns)
        assert cohort.kept["when"].tolist() == [pd.Timestamp(2020, 3, 31)]

    def test_numbers_stored_as_text_are_read_in_their_own_notation(self, book):
        rows = [
            HEAD,
            *(
                [row[0], row[1], a, *row[3:]]
                for row, a in zip(ROWS[1:], ["14,5", 3.125, 7], strict=True)
            ),
        ]
        cohort = load_cohort(book(rows))
        assert cohort.data["age"].tolist() == [14.5, 3.125, 7]
        assert cohort.data["alp"].tolist() == [90.5, 1200, 77.125]
        assert "decimal ',' in 'age'" in cohort.DESCR

    def test_numbers_of_three_decimals_are_no_thousands(self, book):
        rows = [
            HEAD,
            *(
                [*row[:3], alp, *row[4:]]
                for row, alp in zip(ROWS[1:], [1.125, 2.125, 15], strict=True)
            ),
        ]
        assert load_cohort(book(rows)).data["alp"].tolist() == [1.125, 2.125, 15]

    def test_empty_rows_and_columns_around_are_left_out(self, folder):
        rows = [[], [], *([None, None, *row] for row in ROWS[:2]), [], [None, None, *ROWS[2]], []]
        cohort = load_cohort(write_xlsx(folder / "t.xlsx", rows))
        assert len(cohort.data) == 2
        assert cohort.flow["excluded_images"].sum() == 1

    @pytest.mark.parametrize("number", [110101199003074257, 1234567890123456])
    def test_numbers_that_have_lost_digits_are_no_record_numbers(self, book, number):
        path = book([HEAD, [ROWS[1][0], number, *ROWS[1][2:]]])
        with pytest.raises(ValueError, match="lost its last digits"):
            load_cohort(path)

    def test_numbers_of_15_digits_are_record_numbers(self, book):
        path = book([HEAD, [ROWS[1][0], 123456789012345, *ROWS[1][2:]]])
        assert load_cohort(path).groups.tolist() == ["123456789012345"]

    def test_dates_are_no_record_numbers(self, folder):
        row = [ROWS[1][0], datetime.date(2020, 1, 3), *ROWS[1][2:]]
        path = write_xlsx(folder / "t.xlsx", [HEAD, row])
        with pytest.raises(ValueError, match=r"row 0: the record number is a date, '2020-01-03'"):
            load_cohort(path)

    def test_two_columns_of_one_name_are_refused(self, book):
        with pytest.raises(ValueError, match="more than one column named 'age'"):
            load_cohort(book([[*HEAD, "age"], [*ROWS[1], 3]]))


class TestSheets:
    def test_the_one_filled_sheet_is_read(self, book):
        assert len(load_cohort(book(ROWS, Leer=[])).data) == 3

    def test_several_filled_sheets_must_be_chosen_from(self, book):
        path = book(ROWS, Zweite=[["x"], ["y"]])
        with pytest.raises(
            ValueError, match=r"2 sheets \('Tabelle1', 'Zweite'\).*sheet='Tabelle1'"
        ):
            load_cohort(path)
        cohort = load_cohort(read_table(path, sheet="Tabelle1"))
        assert f"Read: {path.name}, sheet 'Tabelle1': sheet" in cohort.DESCR
        assert read_table(path, sheet="Zweite")["x"].tolist() == ["y"]
        with pytest.raises(ValueError, match=r"no sheet 'Zweit'; .*did you mean 'Zweite'\?"):
            read_table(path, sheet="Zweit")

    def test_an_empty_workbook_or_sheet_is_refused(self, book):
        path = book([], Zweite=[["x"], ["y"]])
        with pytest.raises(ValueError, match="its sheet 'Tabelle1' is empty"):
            read_table(path, sheet="Tabelle1")
        with pytest.raises(ValueError, match="none of its 1 sheets holds a value"):
            read_table(book([]))

    def test_hidden_sheets_are_not_chosen_and_said(self, folder):
        import openpyxl

        path = write_xlsx(folder / "t.xlsx", ROWS, Listen=[["x"], ["y"]])
        book = openpyxl.load_workbook(path)
        book["Listen"].sheet_state = "hidden"
        book.save(path)
        assert "hidden 1 sheet ('Listen') not read" in load_cohort(path).DESCR
        assert len(read_table(path, sheet="Listen")) == 1
        style = (
            '<style:style style:name="ta2" style:family="table">'
            '<style:table-properties table:display="false"/></style:style>'
        )
        more = [("Listen", ods_row("x") + ods_row("y"), 'table:style-name="ta2"')]
        path = write_ods(folder / "t.ods", *(ods_row("x"), ods_row("z")), tables=more, styles=style)
        assert read_table(path)["x"].tolist() == ["z"]

    def test_only_hidden_sheets_are_named(self, folder):
        import openpyxl

        path = write_xlsx(folder / "t.xlsx", [], Listen=[["x"], ["y"]])
        book = openpyxl.load_workbook(path)
        book["Listen"].sheet_state = "veryHidden"
        book.save(path)
        with pytest.raises(ValueError, match=r"1 hidden sheet \('Listen'\).*sheet='Listen'"):
            read_table(path)

    def test_charts_are_no_sheets(self, folder):
        import openpyxl

        book = openpyxl.Workbook()
        book.create_chartsheet("Bild")
        book.save(folder / "t.xlsx")
        with pytest.raises(ValueError, match="none of its 1 sheets holds a value; 1 of its sheets"):
            read_table(folder / "t.xlsx")

    def test_options_of_text_are_refused(self, book):
        with pytest.raises(ValueError, match="separator=';' is not allowed; allowed: None, as"):
            read_table(book(ROWS), separator=";")


class TestWhatValuesDoNotSay:
    def edited(self, folder, edit, rows=ROWS):
        import openpyxl

        path = write_xlsx(folder / "t.xlsx", rows)
        book = openpyxl.load_workbook(path)
        edit(book.active)
        book.save(path)
        return path

    def test_formulas_without_a_value_are_refused_by_cell(self, folder):
        path = self.edited(folder, lambda sheet: sheet.__setitem__("C3", "=1+1"))
        with pytest.raises(ValueError, match=r"formulas without a value \(1 cell \(C3\)\); open"):
            load_cohort(path)
        cell = ods_cell(more='table:formula="of:=1+1"')
        path = write_ods(folder / "t.ods", ods_row("a", "b"), ods_row("1", cell))
        with pytest.raises(ValueError, match=r"formulas without a value \(1 cell \(B2\)\)"):
            read_table(path)

    def test_values_of_formulas_are_taken_and_said(self, folder):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        change_part(path, SHEET, lambda xml: xml.replace(b"<v>14</v>", b"<f>7*2</f><v>14</v>"))
        cohort = load_cohort(path)
        assert cohort.data["age"][0] == 14
        assert "the last values of 1 formulas" in cohort.DESCR
        empty = b'<c r="C4" t="str"><f>""</f><v></v></c>'
        change_part(path, SHEET, lambda xml: xml.replace(b'<c r="D4"', empty + b'<c r="D4"'))
        assert read_table(path)["age"].tolist() == ["14", "15.25", ""]

    def test_merged_cells_are_refused_by_range(self, folder):
        path = self.edited(folder, lambda sheet: sheet.merge_cells("D2:D3"))
        with pytest.raises(ValueError, match=r"merged cells \(1 range \(D2:D3\)\).*unmerge"):
            load_cohort(path)
        cell = ods_cell("Lab", 'table:number-columns-spanned="2" table:number-rows-spanned="1"')
        path = write_ods(
            folder / "t.ods", ods_row(cell, "<table:covered-table-cell/>"), ods_row(1, 2)
        )
        with pytest.raises(ValueError, match=r"1 range \(A1:B1\)"):
            read_table(path)

    def test_merged_cells_beside_the_table_do_not_matter(self, folder):
        path = self.edited(folder, lambda sheet: sheet.merge_cells("X20:Z22"))
        assert len(load_cohort(path).data) == 3

    def test_errors_are_not_taken_for_empty_cells(self, folder):
        def spoil(sheet):
            sheet["C3"], sheet["G4"] = "#REF!", "#N/A"
            sheet["C3"].data_type = sheet["G4"].data_type = "e"

        path = self.edited(folder, spoil)
        with pytest.raises(ValueError, match=r"2 problems") as caught:
            load_cohort(path)
        assert "'age' of the image table 't.xlsx', row 1: '#REF!'" in str(caught.value)
        assert "'diagnosis' of the image table 't.xlsx', row 2: '#N/A'" in str(caught.value)
        table = read_table(path).assign(diagnosis="x")
        data = load_cohort(table, na_values=["#REF!"]).data
        np.testing.assert_array_equal(data["age"], [14, np.nan, np.nan])

    def test_errors_in_columns_that_are_not_read_do_not_matter(self, folder):
        cell = '<table:table-cell office:value-type="string" calcext:value-type="error">'
        cell += "<text:p>#DIV/0!</text:p></table:table-cell>"
        path = write_ods(folder / "t.ods", ods_row(*HEAD, "bmi"), ods_row(*ROWS[1], cell))
        assert len(load_cohort(path).data) == 1
        assert read_table(path)["bmi"].tolist() == ["#DIV/0!"]
        with pytest.raises(ValueError, match="'#DIV/0!' is the error of a spreadsheet"):
            load_cohort(path, columns={"bmi": KeptColumn("bmi")})

    def test_hidden_rows_and_columns_are_a_warning(self, folder):
        def hide(sheet):
            sheet.row_dimensions[3].hidden = True
            sheet.column_dimensions["C"].hidden = True

        path = self.edited(folder, hide)
        with pytest.warns(UserWarning, match="t.xlsx, sheet 'Tabelle1': 1 hidden rows and 1 hid"):
            cohort = load_cohort(path)
        assert len(cohort.data) == 3
        with pytest.warns(UserWarning, match="are read like the others"):
            table = read_table(path)
        load_cohort(table)  # said once
        hidden = ods_row("b", more='table:visibility="filter"')
        path = write_ods(folder / "t.ods", ods_row("a"), hidden)
        with pytest.warns(UserWarning, match="1 hidden rows"):
            read_table(path)

    def test_macros_are_ignored_and_said(self, folder):
        path = write_xlsx(folder / "t.xlsm", ROWS)
        change_part(path, "xl/vbaProject.bin", lambda _: b"Sub AutoOpen()")
        assert "macros ignored" in load_cohort(path).DESCR

    def test_lines_of_a_title_are_refused_and_the_remedy_reads(self, folder):
        path = write_xlsx(folder / "t.xlsx", [["Bericht 2020"], *ROWS])
        with pytest.raises(ValueError, match="lines of a title") as caught:
            read_table(path)
        line = str(caught.value).partition("table = ")[2].partition(", with")[0]
        assert eval(line, {"pd": pd}).columns.tolist() == HEAD  # noqa: S307

    def test_a_row_of_units_is_refused(self, folder):
        rows = [HEAD, ["", "", "Jahre", "U/l", "U/l", "U/l", ""], *ROWS[1:], *ROWS[1:]]
        path = write_xlsx(folder / "t.xlsx", rows)
        with pytest.raises(ValueError, match="'Jahre', 'U/l'") as caught:
            read_table(path)
        line = str(caught.value).partition("table = ")[2]
        assert len(eval(line, {"pd": pd})) == 6  # noqa: S307


class TestHostile:
    def test_an_encrypted_workbook_is_named_with_the_remedy(self, folder):
        path = folder / "t.xlsx"
        path.write_bytes(
            b"\xd0\xcf\x11\xe0" + b"\0" * 3000 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 99
        )
        with pytest.raises(ValueError, match=r"under a password.*remove the password"):
            load_cohort(path)

    @pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
    def test_a_cut_workbook_is_damaged(self, book, keep):
        path = book(ROWS)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        with pytest.raises(ValueError, match="is damaged"):
            load_cohort(path)

    @pytest.mark.parametrize("part", ["xl/workbook.xml", SHEET, "xl/styles.xml"])
    @pytest.mark.parametrize("content", [b"", b"\0\1\2", b"<a><b></a>", b"<worksheet/>"])
    def test_a_workbook_with_a_part_of_nonsense_is_refused_or_read(self, folder, part, content):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        change_part(path, part, lambda _: content)
        try:
            assert len(read_table(path)) == 3
        except ValueError as error:
            assert "'t.xlsx'" in str(error)  # noqa: PT017

    def test_entities_are_refused(self, folder):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        bomb = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>'
        change_part(path, "xl/workbook.xml", lambda xml: bomb + xml)
        with pytest.raises(ValueError, match="not XML as a workbook has it"):
            read_table(path)

    def test_a_binary_workbook_is_named(self, folder):
        with zipfile.ZipFile(folder / "t.xlsb", "w") as archive:
            archive.writestr("[Content_Types].xml", "<a/>")
            archive.writestr("xl/workbook.bin", "")
        with pytest.raises(ValueError, match=r"\.xlsb\) must be saved as \.xlsx"):
            read_table(folder / "t.xlsb")

    def test_a_part_that_unpacks_to_much_is_refused(self, folder, monkeypatch):
        monkeypatch.setattr("skosfusion.datasets._archive._MAX_PART", 2**20)
        path = write_xlsx(folder / "t.xlsx", ROWS)
        change_part(path, SHEET, lambda xml: xml + b" " * 2**21)
        with pytest.raises(ValueError, match="takes more than 1048576 bytes unpacked; save"):
            read_table(path)

    def bounded(self, path, *, seconds=20, megabytes=700):
        """Read a table in a process of its own; return its error, or "read" with the rows."""
        code = (
            "import sys, time\n"
            "from skosfusion.datasets import read_table\n"
            "start = time.process_time()\n"
            "try: print('read', len(read_table(sys.argv[1])))\n"
            "except ValueError as error: print(error)\n"
            "print(time.process_time() - start)\n"
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        )
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr[-500:]
        said, took, peak = run.stdout.splitlines()
        assert float(took) < seconds
        assert int(peak) < megabytes << 10
        return said

    def test_a_million_empty_rows_cost_little(self, folder):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        rows = b"".join(b'<row r="%d"><c r="A%d" s="0"/></row>' % (i, i) for i in range(5, 2**20))
        change_part(path, SHEET, lambda xml: xml.replace(b"</sheetData>", rows + b"</sheetData>"))
        assert self.bounded(path) == "read 3"
        rest = ods_row(more='table:number-rows-repeated="1048000"')
        path = write_ods(folder / "t.ods", ods_row("a"), ods_row("b"), rest)
        assert self.bounded(path) == "read 1"

    def test_a_cell_far_away_is_refused_by_name(self, folder):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
        change_part(path, SHEET, lambda xml: xml.replace(b"</sheetData>", far + b"</sheetData>"))
        assert "1048576 rows and 16384 columns (to XFD1048576)" in self.bounded(path)
        cell = ods_cell("b", 'table:number-columns-repeated="16000"')
        many = f'<table:table-row table:number-rows-repeated="1000000">{cell}</table:table-row>'
        assert "delete the cells" in self.bounded(write_ods(folder / "t.ods", many))

    def test_cells_without_an_address_are_bounded_and_read(self, folder):
        path = write_xlsx(folder / "t.xlsx", ROWS)
        change_part(path, SHEET, lambda xml: re.sub(rb'(<c|<row) r="\w+"', rb"\1", xml))
        assert read_table(path)["diagnosis"].tolist()[:2] == ["ja", "nein"]

    def test_a_long_text_that_is_used_often_is_refused(self, folder):
        path = write_xlsx(folder / "t.xlsx", [["a"]])
        shared = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>'
        change_part(
            path, "xl/sharedStrings.xml", lambda _: shared + b"x" * 30_000 + b"</t></si></sst>"
        )
        cells = b"".join(
            b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (i, i) for i in range(2, 20_000)
        )
        change_part(path, SHEET, lambda xml: xml.replace(b"</sheetData>", cells + b"</sheetData>"))
        assert "the texts of sheet 'Tabelle1' take more than" in self.bounded(path)
        text = ods_cell("x" * 30_000, 'table:number-columns-repeated="100"')
        row = f'<table:table-row table:number-rows-repeated="500">{text}</table:table-row>'
        assert "take more than 268435456 characters" in self.bounded(
            write_ods(folder / "t.ods", row)
        )


def test_without_calamine_the_extra_is_named(folder, monkeypatch):
    path, real = write_xlsx(folder / "t.xlsx", ROWS), builtins.__import__

    def no_calamine(name, *args, **kwargs):
        if name.startswith("python_calamine"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "skosfusion.datasets._sheets", raising=False)
    monkeypatch.delattr(datasets, "_sheets", raising=False)
    monkeypatch.setattr(builtins, "__import__", no_calamine)
    with pytest.raises(ImportError, match=r"skosfusion\[excel\]"):
        load_cohort(path)


def test_visible_sheets_are_those_with_values(tmp_path):
    path = write_xlsx(tmp_path / "t.xlsx", [["a"], ["1"]], B=[["b"], ["2"]], Empty=[])
    assert visible_sheets(path) == ["Tabelle1", "B"]
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert visible_sheets(tmp_path / "t.csv") == []
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(ValueError, match=r"cannot read the table 't\.xlsx'"):
        visible_sheets(tmp_path / "t.xlsx")
