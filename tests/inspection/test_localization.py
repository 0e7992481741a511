import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skosfusion import localization_scores, scale_boxes


def test_energy_hit_and_chance_are_those_computed_by_hand():
    heatmap = np.zeros((1, 4, 8))
    heatmap[0, 1, 1] = 0.5
    heatmap[0, 2, 5] = 1.0
    heatmap[0, 3, 7] = 0.5
    result = localization_scores(heatmap, [[4, 0, 8, 3]])
    assert result.energy_share.tolist() == [0.5]
    assert result.hit.tolist() == [1.0]
    assert result.chance.tolist() == [12 / 32]
    assert result.is_flat.tolist() == [False]
    result = localization_scores(heatmap, [[0, 0, 4, 4]])
    assert result.energy_share.tolist() == [0.25]
    assert result.hit.tolist() == [0.0]


def test_pixels_at_the_edge_count_by_the_part_inside():
    heatmap = np.zeros((1, 4, 4))
    heatmap[0, 1, 1] = 1.0
    result = localization_scores(heatmap, [[0.0, 0.0, 1.25, 1.5]])
    assert result.energy_share.tolist() == [0.125]
    assert result.chance.tolist() == [1.25 * 1.5 / 16]
    assert result.hit.tolist() == [0.0]
    assert localization_scores(heatmap, [[0.0, 0.0, 1.75, 1.75]]).hit.tolist() == [1.0]


def test_of_several_largest_values_the_share_inside_hits():
    heatmap = np.zeros((1, 4, 4))
    heatmap[0, 0, :] = 1.0
    assert localization_scores(heatmap, [[0, 0, 1, 4]]).hit.tolist() == [0.25]


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_flat_heatmap_counts_as_chance_and_is_named(value):
    result = localization_scores(np.full((1, 4, 4), value), [[0, 0, 2, 2]])
    assert result.is_flat.tolist() == [True]
    scores = result.energy_share, result.hit, result.chance
    assert [score.tolist() for score in scores] == [[0.25]] * 3


def test_rows_without_a_box_have_no_scores():
    result = localization_scores(np.zeros((2, 4, 4)), [[np.nan] * 4, [0, 0, 4, 4]])
    assert np.isnan(result.hit[0])
    assert result.hit[1] == 1.0
    assert result.is_flat.tolist() == [False, True]


@given(st.integers(0, 2**32 - 1))
def test_random_heatmaps_come_out_at_chance(seed):
    rng = np.random.default_rng(seed)
    heatmaps = rng.random((400, 8, 8))
    corner = rng.integers(0, 5, (400, 2))
    boxes = np.hstack([corner, corner + rng.integers(1, 4, (400, 2))])
    result = localization_scores(heatmaps, boxes)
    assert abs(result.energy_share.mean() - result.chance.mean()) < 0.02
    assert abs(result.hit.mean() - result.chance.mean()) < 0.09


@pytest.mark.parametrize(
    ("heatmaps", "boxes", "message"),
    [
        (np.zeros((4, 4)), [[0, 0, 1, 1]], "heatmaps has shape"),
        (np.zeros((2, 4, 4)), [[0, 0, 1, 1]], r"boxes \(1, 4\)"),
        (np.zeros((1, 4, 4)), [[2, 0, 2, 1]], r"box 0 is \[2.0, 0.0, 2.0, 1.0\]"),
        (np.zeros((1, 4, 4)), [[0, 0, 200, 100]], "scale_boxes"),
        (np.zeros((1, 4, 4)), [[0, 3, 1, 1]], "must have an area"),
        (np.zeros((1, 4, 4)), [[-0.5, 0, -0.1, 4]], "outside of the heatmap"),
        (np.full((1, 4, 4), -1.0), [[0, 0, 1, 1]], "heatmap 0 holds values that are negative"),
        (np.full((1, 4, 4), np.nan), [[0, 0, 1, 1]], "not finite"),
    ],
)
def test_bad_input_is_refused(heatmaps, boxes, message):
    with pytest.raises(ValueError, match=message):
        localization_scores(heatmaps, boxes)


@pytest.fixture
def table(tmp_path):
    """An image of 64 x 32 pixels and one of 100 x 100."""
    for name, size in (("wide", (64, 32)), ("square", (100, 100))):
        pixels = np.random.default_rng(0).integers(0, 255, size[::-1], np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return pd.DataFrame({"image": [str(tmp_path / f"{name}.png") for name in ("wide", "square")]})


def test_boxes_follow_the_resizing(classifier, table):
    classifier.fit(table, [0, 1])
    boxes = scale_boxes(classifier, table, [[16, 8, 32, 32], [np.nan] * 4])
    np.testing.assert_allclose(boxes, [[8, 8, 16, 32], [np.nan] * 4])


def test_boxes_follow_the_crop(classifier, table):
    classifier.set_params(image_options={"crop_box": (10, 0, 26, 32)}).fit(table, [0, 1])
    boxes = scale_boxes(classifier, table, [[12, 8, 40, 16], [50, 40, 60, 60]])
    np.testing.assert_allclose(boxes, [[4, 8, 32, 16], [np.nan] * 4])


def test_boxes_follow_an_image_that_is_turned_upright(classifier, table, tmp_path):
    image = Image.open(table["image"][0])
    exif = image.getexif()
    exif[0x0112] = 6
    image.convert("L").save(tmp_path / "turned.jpg", exif=exif)
    table.loc[0, "image"] = str(tmp_path / "turned.jpg")
    classifier.fit(table, [0, 1])
    # Upright it is 32 wide and 64 high.
    boxes = scale_boxes(classifier, table, [[16, 8, 32, 32], [0, 0, 100, 100]])
    np.testing.assert_allclose(boxes, [[16, 4, 32, 16], [0, 0, 32, 32]])


def test_a_bright_square_lies_in_its_box(classifier, tmp_path):
    """What is known of the file and what the network sees lie in one place."""
    from skosfusion.inspection._fitted import unwrap
    from skosfusion.inspection._samples import read_images

    pixels = np.zeros((90, 120), np.uint8)
    pixels[30:60, 20:50] = 255
    Image.fromarray(pixels).save(tmp_path / "square.png")
    table = pd.DataFrame({"image": [str(tmp_path / "square.png")] * 2})
    classifier.fit(table, [0, 1])
    boxes = scale_boxes(classifier, table, [[20, 30, 50, 60]] * 2)
    seen = read_images(unwrap(classifier), table)[0]
    result = localization_scores(seen[None].astype(float), boxes[:1])
    assert result.energy_share[0] > 0.9
    assert result.hit[0] > 0.9


def test_other_boxes_than_rows_are_refused(classifier, table):
    classifier.fit(table, [0, 1])
    with pytest.raises(ValueError, match=r"shape \(1, 4\); with 2 rows"):
        scale_boxes(classifier, table, [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"box 1 is \[3.0"):
        scale_boxes(classifier, table, [[0, 0, 1, 1], [3, 0, 1, 1]])
