import numpy as np
import pandas as pd
import pytest

from skosfusion.datasets import (
    ImageColumn,
    crop_screenshots,
    exclude_rows,
    exclude_screenshots,
    exclusion_flow,
    load_cohort,
    make_osteosarcoma_cohort,
)


def reasons(flow):
    return flow["reason"].tolist()


def check_sums(flow):
    """Each step leaves what the last one left, less what it leaves out."""
    for noun in ("images", "patients"):
        left, out = flow[f"n_{noun}"].tolist(), flow[f"excluded_{noun}"].tolist()
        assert all(a - b == c for a, b, c in zip(left[:-1], out[1:], left[1:], strict=True))


def test_a_cohort_of_a_whole_table_has_two_steps(folder, images, records):
    cohort = load_cohort(images, records, image_folder=folder)
    assert cohort.flow[["n_images", "n_patients"]].to_numpy().tolist() == [[3, 2], [3, 2]]
    assert (cohort.flow.filter(like="excluded") == 0).all(axis=None)
    assert "Flow:\n- rows of the table: 3 images of 2 patients" in cohort.DESCR
    pd.testing.assert_frame_equal(exclusion_flow(cohort.frame), cohort.flow)


def test_each_way_to_leave_rows_out_is_counted(folder, images, records):
    images.loc[3] = ["d_screen.png", "3"]
    images.loc[4] = ["e.png", "4"]
    images.loc[5] = ["f.png", "01"]
    records.loc[2] = ["9", "F", "1", "1", "1", "2", "knee injury"]
    table = exclude_screenshots(images, "*_screen.png")
    table = exclude_rows(table, table["patient_id"] == "4", "no clinical record")
    table = table[table["image"] != "f.png"]
    cohort = load_cohort(table, records, image_folder=folder)
    assert reasons(cohort.flow) == [
        "rows of the table",
        "screenshots, '*_screen.png'",
        "no clinical record",
        "left out by other means, for a reason that was not given",
        "clinical records without an image",
        "rows of the cohort",
    ]
    assert cohort.flow["excluded_images"].tolist() == [0, 1, 1, 1, 0, 0]
    assert cohort.flow["excluded_patients"].tolist() == [0, 1, 1, 0, 0, 0]
    assert cohort.flow["excluded_records"].tolist() == [0, 0, 0, 0, 1, 0]
    check_sums(cohort.flow)
    assert cohort.flow.iloc[-1]["n_images"] == len(cohort.data) == 3
    assert (
        "- no clinical record: 4 images of 2 patients; left out: 1 image, 1 patient" in cohort.DESCR
    )


def test_lines_of_nothing_in_a_file_are_counted(tmp_path, folder, images, records):
    path = folder / "images.csv"
    path.write_text("image,patient_id\na.png,01\n\nb.png,01\nc.png,2\n,\n,\n")
    flow = load_cohort(path, records).flow
    assert flow["reason"][1] == "lines without any value"
    assert flow["n_images"].tolist() == [6, 3, 3]
    assert flow["excluded_images"].tolist() == [0, 3, 0]


def test_rows_without_an_image_are_named(folder, images, records):
    images.loc[1, "image"] = None
    columns = {"image": ImageColumn(missing="keep")}
    flow = load_cohort(images, records, image_folder=folder, columns=columns).flow
    assert "1 rows without an image, kept" in flow["reason"][1]
    assert flow["n_images"].tolist() == [3, 3, 3]


def test_crops_are_a_step_that_leaves_nothing_out(tmp_path, folder, images, records):
    cohort = load_cohort(images, records, image_folder=folder)
    cropped = crop_screenshots(cohort.frame, "b.png", (0, 0, 4, 4), data_home=tmp_path)
    flow = exclusion_flow(cropped)
    assert flow["reason"].iloc[-1] == "1 screenshots cropped at (0, 0, 4, 4), none left out"
    assert flow["n_images"].tolist() == [3, 3, 3]
    assert len(exclusion_flow(cohort.frame)) == 2


def test_patients_are_counted_by_the_column_that_is_named(images):
    table = images.rename(columns={"patient_id": "record"})
    by_name = exclude_screenshots(table, "c.png", patient="record")
    assert exclusion_flow(exclude_screenshots(table, "c.png"))["n_patients"].isna().all()
    assert by_name.attrs["skosfusion: flow of exclusions"][-1]["excluded_patients"] == 1


def test_a_table_that_has_grown_begins_anew(images):
    kept = exclude_rows(images, [True, False, False], "blurred")
    both = pd.concat([kept, kept])
    assert exclusion_flow(both)["n_images"].tolist() == [4]


def test_the_table_itself_knows_nothing_of_it(images):
    exclude_rows(images, [True, False, False], "blurred")
    assert images.attrs == {}


@pytest.mark.parametrize(
    ("rows", "reason", "match"),
    [
        ([True], "x", "3 bools, one for each row"),
        ([0, 1, 0], "x", "3 bools"),
        ([True] * 3, "x", "all 3 rows"),
        ([True, False, False], " ", "reason=' '"),
        ([True, False, False], None, "reason=None"),
    ],
)
def test_bad_input_is_refused(images, rows, reason, match):
    with pytest.raises(ValueError, match=match):
        exclude_rows(images, np.array(rows), reason)


def test_a_flow_needs_a_table():
    with pytest.raises(TypeError, match="DataFrame, got list"):
        exclusion_flow([])


def test_the_synthetic_cohort_has_the_same_keys(tmp_path, folder, images, records):
    drawn = make_osteosarcoma_cohort(n_patients=4, image_size=64, data_home=tmp_path)
    loaded = load_cohort(images, records, image_folder=folder)
    assert set(loaded) <= set(drawn)
    assert drawn.kept.shape == (len(drawn.data), 0)
    assert drawn.flow["n_images"].tolist() == [len(drawn.data)] * 2
    assert "rows of the cohort: 12 images of 4 patients" in drawn.DESCR
    pd.testing.assert_frame_equal(exclusion_flow(drawn.frame), drawn.flow)
