"""Untrusted tables: whatever is in them, they load or are refused with a documented error."""

import io
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skosfusion.datasets import TargetColumn, load_cohort
from skosfusion.preprocessing import make_clinical_transformer

from .._helpers.mutations import EDIT, mutated, object_column, spoilt_frames

DOCUMENTED = (ValueError, TypeError, FileNotFoundError, OSError)
FRAME = pd.DataFrame(
    {
        "image": ["a.png", "b.png", "a.png", "b.png", "a.png", "b.png"],
        "patient_id": ["017", "4", "x-1", "4", "9", "10"],
        "gender": ["F", "m", None, "female", "M", "F"],
        "age": [10.0, 4, 81, 40, np.nan, 33],
        "alp": [90.0, 150, 460, np.nan, 77, 60],
        "alp_low": 40.0,
        "alp_high": [130.0, 130, 150, 150, 150, 130],
        "diagnosis": ["ill", "well", "ill", "well", "ill", "well"],
    }
)
KEEP = {"target": TargetColumn(label_conflicts="keep")}
FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    for name in ("a.png", "b.png"):
        (path / name).touch()
    return path


def check(source, folder, records=None, **options):
    """Load and normalize a table; only a documented error may come of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # units, codes, names of columns
        try:
            cohort = load_cohort(source, records, image_folder=folder, **options)
            has = set(cohort.data.columns)
            transformer = make_clinical_transformer(
                gender="gender" if "gender" in has else None,
                age="age" if "age" in has else None,
                kits=cohort.kits,
            )
            out = transformer.fit_transform(cohort.data)
        except DOCUMENTED:
            return None
    assert len(out) == len(cohort.target) == len(cohort.groups)
    clinical = out.drop(columns="image")
    assert (clinical.dtypes == np.float32).all()
    assert np.isfinite(clinical.to_numpy()).all()
    assert out["image"].notna().all()
    return out


def test_the_sound_table_is_taken(folder):
    assert check(FRAME, folder).shape == (6, 4)


@FUZZ
@given(frame=spoilt_frames(FRAME), positive=st.sampled_from([None, "ill"]))
def test_any_frame_loads_or_is_refused(folder, frame, positive):
    columns = {"target": TargetColumn(positive=positive, label_conflicts="keep")}
    check(frame, folder, columns=columns)


@FUZZ
@given(
    images=spoilt_frames(FRAME[["image", "patient_id"]]),
    records=spoilt_frames(
        FRAME.drop(columns="image").drop_duplicates("patient_id").reset_index(drop=True)
    ),
)
def test_any_pair_of_frames_loads_or_is_refused(folder, images, records):
    check(images, folder, records)


@settings(FUZZ, max_examples=60)
@given(frame=spoilt_frames(FRAME.drop(columns=["patient_id", "diagnosis"])))
def test_any_frame_is_transformed_or_refused(frame):
    fitted = make_clinical_transformer(kits={"alp": ("alp", "alp_low", "alp_high")}).fit(FRAME)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for call in (fitted.transform, lambda X: fitted.fit(X).transform(X)):
            try:
                out = call(frame)
            except DOCUMENTED:
                continue
            assert len(out) == len(frame)
            assert np.isfinite(out.drop(columns="image").to_numpy(float)).all()


CSV = FRAME.to_csv(index=False).encode()


@FUZZ
@given(edits=st.lists(EDIT, min_size=1, max_size=4), length=st.sampled_from([1.0, 1.0, 0.7]))
def test_any_csv_loads_or_is_refused(folder, edits, length):
    path = folder / "table.csv"
    path.write_bytes(mutated(CSV, edits, length))
    check(path, folder, columns=KEEP)


@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes_load_or_are_refused(folder, data):
    for name in ("table.csv", "table.parquet"):
        (folder / name).write_bytes(data)
        check(folder / name, folder)


def parquet(**options):
    buffer = io.BytesIO()
    FRAME.assign(
        note=FRAME["gender"].astype("category"), taken=pd.Timestamp("2020"), marks=[[1, 2]] * 6
    ).to_parquet(buffer, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def parquets():
    pytest.importorskip("pyarrow")
    deltas = dict.fromkeys(["image", "patient_id", "gender", "diagnosis"], "DELTA_BYTE_ARRAY")
    return [
        parquet(),
        parquet(compression=None),
        parquet(compression="zstd", data_page_version="2.0"),
        parquet(compression=None, use_dictionary=False, column_encoding=deltas),
    ]


@FUZZ
@given(
    seed=st.integers(0, 3),
    edits=st.lists(EDIT.filter(lambda edit: edit[1] != "token"), min_size=1, max_size=3),
    keep_footer=st.booleans(),
)
def test_any_parquet_loads_or_is_refused(folder, parquets, seed, edits, keep_footer):
    data, path = parquets[seed], folder / "table.parquet"
    footer = 8 + int.from_bytes(data[-8:-4], "little") if keep_footer else 0
    body = len(data) - footer
    damaged = mutated(data[:body], edits)
    if keep_footer:  # offsets in the footer still lead somewhere
        damaged = damaged[:body].ljust(body, b"\0")
    path.write_bytes(damaged + data[body:])
    check(path, folder, columns=KEEP)


@FUZZ
@given(edits=st.lists(EDIT, min_size=1, max_size=3), separator=st.sampled_from(";\t|"))
def test_any_text_with_other_separators_loads_or_is_refused(folder, edits, separator):
    text = FRAME.to_csv(index=False, sep=separator, decimal=",").encode()
    path = folder / "table.csv"
    path.write_bytes(mutated(text, edits))
    check(path, folder, columns=KEEP)


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    path = tmp_path_factory.mktemp("books") / "table.xlsx"
    FRAME.to_excel(path, index=False)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@settings(FUZZ, max_examples=80)
@given(data=st.data(), edits=st.lists(EDIT, min_size=1, max_size=3))
def test_any_part_of_a_workbook_loads_or_is_refused(folder, workbook, data, edits):
    part = data.draw(st.sampled_from([name for name in workbook if "theme" not in name]))
    path = folder / "table.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in workbook.items():
            archive.writestr(name, mutated(content, edits) if name == part else content)
    check(path, folder, columns=KEEP)


@settings(FUZZ, max_examples=60)
@given(edits=st.lists(EDIT, min_size=1, max_size=3))
def test_any_archive_loads_or_is_refused(folder, workbook, edits):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in workbook.items():
            archive.writestr(name, part)
    path = folder / "table.xlsx"
    path.write_bytes(mutated(content.getvalue(), edits))
    check(path, folder, columns=KEEP)


# Small files that stand for much


def test_a_line_without_end_is_refused(folder):
    path = folder / "table.csv"
    path.write_bytes(b"image,patient_id,diagnosis\n" + b"," * 3_000_000)
    with pytest.raises(ValueError, match=r"'table.csv': it has a line of more than 1048576 char"):
        load_cohort(path)


def test_a_giant_cell_is_refused(folder):
    path = folder / "table.csv"
    path.write_bytes(b'image,patient_id,diagnosis\na.png,1,"' + b"x\n" * 100_000 + b'"\n')
    with pytest.raises(ValueError, match="field larger than field limit"):
        load_cohort(path)


def test_a_million_columns_are_compared_row_by_row(folder):
    path = folder / "table.csv"
    path.write_bytes(b"image,patient_id,diagnosis\na.png,1,x\n" + b"," * 1_000_000 + b"\n")
    with pytest.raises(ValueError, match="row 1 has 1000001 cells, but the header has 3"):
        load_cohort(path)


def test_a_csv_beyond_the_limit_is_refused(folder, monkeypatch):
    monkeypatch.setattr("skosfusion.datasets._csv.MAX_BYTES", 100)
    path = folder / "table.csv"
    path.write_bytes(b"image,patient_id,diagnosis\n" + b"a.png,1,x\n" * 20)
    with pytest.raises(ValueError, match=r"'table.csv': it holds more than 100 characters; split"):
        load_cohort(path)


def test_a_nul_in_a_cell_is_kept_to_that_cell(folder):
    path = folder / "table.csv"
    path.write_bytes(b"image,patient_id,diagnosis\na\0.png,1,x\n")
    with pytest.raises(ValueError, match=r"NUL in its name|line contains NUL"):
        load_cohort(path)


def test_a_cell_may_hold_line_breaks(folder):
    path = folder / "table.csv"
    path.write_bytes(b'image,patient_id,diagnosis\na.png,1,"x\ny"\nb.png,2,z\n')
    assert load_cohort(path).target.tolist() == ["x\ny", "z"]


@pytest.mark.parametrize("kind", ["string", "large_string"])
def test_a_parquet_of_endless_equal_text_is_refused(folder, kind):
    pyarrow = pytest.importorskip("pyarrow")
    text = pyarrow.array(["x" * 2**18], getattr(pyarrow, kind)())
    column = pyarrow.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), text)
    table = pyarrow.table({"image": column})
    path = folder / "table.parquet"
    pyarrow.parquet.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 2**20
    with pytest.raises(
        ValueError, match=r"'table.parquet': it has \d+ bytes, more than 1073741824"
    ):
        load_cohort(path, image_folder=folder)


def test_a_parquet_with_an_index_keeps_it_as_a_column(folder):
    pytest.importorskip("pyarrow")
    path = folder / "table.parquet"
    FRAME.set_index("patient_id").to_parquet(path)
    groups = load_cohort(path, columns=KEEP).groups
    assert groups.tolist() == FRAME["patient_id"].tolist()


def test_columns_of_lists_and_bytes_in_a_parquet_are_left_out(folder):
    pytest.importorskip("pyarrow")
    path = folder / "table.parquet"
    FRAME.assign(marks=[[1]] * 6, thumbnail=b"x").to_parquet(path)
    assert len(load_cohort(path, columns=KEEP).data) == 6
    with pytest.raises(ValueError, match="no column 'thumbnail'"):
        load_cohort(path, columns={"gender": "thumbnail"})


def test_an_object_column_of_collections_is_built_as_it_is():
    assert object_column([[1], (2, 3)]).tolist() == [[1], (2, 3)]


# Sound tables


def sound_table(random, n_rows, decimals):
    """Draw a table as a hospital has it, with gaps and any number of decimals."""
    columns = {
        "image": random.choice(["a.png", "b.png"], n_rows),
        "patient_id": [str(number) for number in 1000 + np.arange(n_rows)],
        "gender": random.choice(["F", "M"], n_rows),
        "age": np.clip(random.normal(40, 25, n_rows), 0, 105).round(),
        "alp": random.lognormal(4.6, 0.6, n_rows).round(decimals),
        "alp_low": 40,
        "alp_high": 130,
        "ldh": random.lognormal(5.3, 0.4, n_rows).round(decimals),
        "ldh_low": 120,
        "ldh_high": 250,
        "diagnosis": random.choice(["osteosarcoma", "no tumor", "osteomyelitis"], n_rows),
    }
    table = pd.DataFrame(columns)
    gaps = random.random(n_rows) < 0.1
    return table.assign(alp=table["alp"].mask(gaps), age=table["age"].mask(gaps[::-1]))


@settings(FUZZ, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(8, 200),
    decimals=st.integers(0, 3),
    form=st.sampled_from(["frame", "csv", "text"]),
)
def test_sound_tables_give_no_warning(folder, seed, n_rows, decimals, form):
    table = sound_table(np.random.default_rng(seed), n_rows, decimals)
    source = table
    if form == "csv":
        source = folder / "sound.csv"
        table.to_csv(source, index=False)
    elif form == "text":
        cells = table["alp"].map(f"{{:.{decimals}f}}".format, na_action="ignore")
        source = table.assign(alp=cells)
    cohort = load_cohort(source, image_folder=folder)
    make_clinical_transformer(kits=cohort.kits).fit(cohort.data)
    np.testing.assert_array_equal(cohort.data["alp"], table["alp"])
    np.testing.assert_array_equal(cohort.data["age"], table["age"])
