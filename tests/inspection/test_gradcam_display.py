import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler

from skosfusion import GradCAM, GradCAMDisplay, make_clinical_transformer, make_fusion_pipeline

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def fitted(pipeline, cohort):
    return pipeline.fit(cohort, cohort.diagnosis)


def image_of(image, ax):
    """The array and the place of an image drawn on an Axes."""
    left, right, bottom, top = image.get_extent()
    return np.asarray(image.get_array()), (left, top, right, bottom)


def test_the_frame_says_what_the_model_says(fitted, cohort):
    part = cohort.iloc[5:9]
    display = GradCAMDisplay.from_estimator(
        fitted, part, part.diagnosis, target=1, display_labels=["healthy", "tumor"]
    )
    frame = display.frame()
    probabilities = fitted.predict_proba(part)
    assert list(frame.index) == list(part.index)
    assert list(frame["target"]) == ["tumor"] * 4
    np.testing.assert_array_equal(frame["probability"], probabilities[:, 1])
    expected = np.array(["healthy", "tumor"])
    assert list(frame["label"]) == list(expected[part.diagnosis])
    assert list(frame["predicted"]) == list(expected[probabilities.argmax(1)])
    np.testing.assert_array_equal(display.heatmaps, GradCAM(fitted, target=1).transform(part))


def test_by_default_the_predicted_class_is_explained_and_labels_are_not_needed(fitted, cohort):
    frame = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:5]).frame()
    assert list(frame["target"]) == list(fitted.predict(cohort.iloc[:5]))
    assert (frame["target"] == frame["predicted"]).all()
    assert (frame["probability"] >= 0.5).all()
    assert "label" not in frame


def test_captions_tell_class_probability_and_clinical_values_as_they_were_given(fitted, cohort):
    part = cohort.iloc[:1].copy()
    part["alp"] = np.nan
    display = GradCAMDisplay.from_estimator(fitted, part, part.diagnosis, target=1).plot()
    caption = display.axes_[0].get_xlabel()
    probability = fitted.predict_proba(part)[0, 1]
    row = part.iloc[0]
    assert caption.startswith(f"1: {probability:.2f} (true: {row.diagnosis})")
    assert f"gender {row.gender}" in caption
    assert f"age {row.age}" in caption
    assert "alp missing (40 to 130)" in caption
    assert f"ldh {row.ldh:.4g} (120 to 250)" in caption.replace("\n", " ")


def test_captions_of_a_bare_classifier_tell_its_own_values(fitted, cohort):
    table = fitted[:-1].transform(cohort).iloc[:1]
    display = GradCAMDisplay.from_estimator(fitted[-1], table).plot()
    assert f"alp {table['alp'].iloc[0]:.4g}" in display.axes_[0].get_xlabel()


def test_a_heatmap_without_a_place_is_named(fitted, cohort):
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:2])
    display.heatmaps[1] = 0
    display.plot()
    captions = [ax.get_xlabel() for ax in display.axes_]
    assert ["no place stands out" in caption for caption in captions] == [False, True]


def test_radiograph_and_overlay_lie_in_line(fitted, cohort):
    part = cohort.iloc[:1]
    display = GradCAMDisplay.from_estimator(fitted, part, boxes=[[4, 8, 20, 24]]).plot()
    ax = display.axes_[0]
    plain, (left, *rest) = image_of(ax.images[0], ax)
    below, place_below = image_of(ax.images[1], ax)
    heatmap, place = image_of(ax.images[2], ax)
    pixels = np.asarray(Image.open(part["image"].iloc[0]))
    np.testing.assert_array_equal(plain, pixels)
    np.testing.assert_array_equal(below, pixels)
    np.testing.assert_array_equal(heatmap, display.heatmaps[0])
    assert place == place_below
    assert place[1] == rest[0] == 0
    assert place[3] == rest[2] == 32
    assert place[2] - place[0] == pytest.approx(32)
    assert (left, rest[1]) == (0, 32)
    # Opaque where the map is high, clear where it is low.
    alpha = ax.images[2].get_alpha()
    assert np.argmax(alpha) == np.argmax(heatmap)
    assert alpha.min() == 0
    assert alpha.max() < 1
    for line, offset in zip(ax.lines[::2], (0, place[0]), strict=True):
        np.testing.assert_allclose(line.get_xdata().min(), offset + 4)
        np.testing.assert_allclose(line.get_xdata().max(), offset + 20)
        assert (line.get_ydata().min(), line.get_ydata().max()) == (8, 24)
    assert ax.get_xlim() == (0, place[2])
    assert ax.get_ylim() == (32, 0)


def test_only_known_boxes_are_drawn(fitted, cohort):
    boxes = [[4, 8, 20, 24], [np.nan] * 4]
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:2], boxes=boxes).plot()
    assert [len(ax.lines) for ax in display.axes_] == [4, 0]


@pytest.mark.parametrize("n_images", [1, 2, 3, 7, 16, 40])
def test_from_1_to_40_images_nothing_overlaps_or_is_cut_off(fitted, cohort, n_images):
    part = cohort.iloc[:n_images]
    display = GradCAMDisplay.from_estimator(fitted, part, part.diagnosis).plot()
    figure = display.figure_
    figure.draw_without_rendering()
    inside = figure.bbox
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    for box in boxes:
        assert box.x0 >= inside.x0 - 1
        assert box.y0 >= inside.y0 - 1
        assert box.x1 <= inside.x1 + 1
        assert box.y1 <= inside.y1 + 1
    for i, box in enumerate(boxes):
        for other in boxes[i + 1 :]:
            overlap_x = min(box.x1, other.x1) - max(box.x0, other.x0)
            overlap_y = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert overlap_x <= 1 or overlap_y <= 1
    sizes = [ax.get_window_extent().width for ax in display.axes_]
    assert max(sizes) - min(sizes) < 1
    assert min(sizes) > 100
    width, height = figure.get_size_inches()
    assert 0.5 < width / height < 3.5


def test_it_draws_where_it_is_told(fitted, cohort):
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:3])
    figure, axes = plt.subplots(1, 3)
    assert display.plot(axes) is display
    assert list(display.axes_) == list(axes)
    figure, (left, right) = plt.subplots(1, 2)
    display.plot(right)
    assert display.figure_ is figure
    assert len(display.axes_) == 3
    assert not left.images
    whole = right.get_position()
    for ax in display.axes_:
        place = ax.get_position()
        assert whole.x0 - 0.01 <= place.x0
        assert place.x1 <= whole.x1 + 0.01
    with pytest.raises(ValueError, match="ax holds 2 Axes; 3 are needed"):
        display.plot([left, right])


def test_color_images_keep_their_colors(image_options, tmp_path):
    from skosfusion import FusionClassifier

    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "color.png")
    table = pd.DataFrame({"image": [str(tmp_path / "color.png")] * 2})
    classifier = FusionClassifier(**image_options).fit(table, [0, 1])
    display = GradCAMDisplay.from_estimator(classifier, table).plot()
    np.testing.assert_array_equal(display.axes_[0].images[0].get_array(), pixels)


def test_kits_with_fixed_limits_are_described_by_their_value(image_options, cohort):
    clinical = make_clinical_transformer(kits={"alp": ("alp", 40, 130)}, gender=None, age=None)
    options = {name: value for name, value in image_options.items() if name != "image_column"}
    pipeline = make_fusion_pipeline(clinical=clinical, **options).fit(cohort, cohort.diagnosis)
    display = GradCAMDisplay.from_estimator(pipeline, cohort.iloc[:1])
    assert display.frame()["clinical"].iloc[0] == [f"alp {cohort['alp'].iloc[0]:.4g}"]


def test_bad_input_is_refused(fitted, cohort):
    with pytest.raises(ValueError, match=r"48 images do not fit.*X.iloc\[:40\]"):
        GradCAMDisplay.from_estimator(fitted, cohort)
    part = cohort.iloc[:3]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GradCAMDisplay.from_estimator(fitted, part, [0, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GradCAMDisplay.from_estimator(fitted, part, boxes=[[0, 0, 1, 1]])
    for labels in (["a", "b", "c"], {0: "a", 1: "b"}, "ab"):
        with pytest.raises(ValueError, match=r"display_labels=.* list of 2 names.*: 0, 1"):
            GradCAMDisplay.from_estimator(fitted, part, display_labels=labels)
    with pytest.raises(ValueError, match="0 samples"):
        GradCAMDisplay.from_estimator(fitted, cohort.iloc[:0])


def test_without_matplotlib_the_extra_is_named(fitted, cohort, monkeypatch):
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:1])
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"GradCAMDisplay.plot draws with.*skosfusion\[plot\]"):
        display.plot()


def test_names_from_tables_are_drawn_as_they_are(fitted, cohort):
    labels = ["$x_{", "two\nlines " + "very " * 100]
    display = GradCAMDisplay.from_estimator(
        fitted, cohort.iloc[:2], cohort.diagnosis[:2], target=1, display_labels=labels
    ).plot()
    display.figure_.draw_without_rendering()
    lines = display.axes_[0].get_xlabel().splitlines()
    assert lines[0].startswith("two lines very")
    assert "(true: $x_{)" in " ".join(lines[:2])
    assert max(map(len, lines)) < 50


def test_an_axes_without_a_grid_is_divided_too(fitted, cohort):
    ax = plt.figure().add_axes([0.5, 0.0, 0.5, 1.0])
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:2]).plot(ax)
    assert all(part.get_position().x0 >= 0.49 for part in display.axes_)


def test_three_columns_are_a_range_only_for_kits(image_options, cohort):
    clinical = ColumnTransformer(
        [("image", "passthrough", ["image"]), ("three", StandardScaler(), ["age", "alp", "ldh"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    options = {name: value for name, value in image_options.items() if name != "image_column"}
    pipeline = make_fusion_pipeline(clinical=clinical, **options).fit(cohort, cohort.diagnosis)
    row = cohort.iloc[0]
    display = GradCAMDisplay.from_estimator(pipeline, cohort.iloc[:1])
    expected = [f"three {row.age} {row.alp:.6g} {row.ldh:.6g}"]
    assert display.frame()["clinical"].iloc[0] == expected


def test_the_users_settings_do_not_part_image_and_box(fitted, cohort):
    display = GradCAMDisplay.from_estimator(fitted, cohort.iloc[:1])
    with plt.rc_context({"image.origin": "lower", "image.aspect": "auto"}):
        ax = display.plot().axes_[0]
    assert {image.origin for image in ax.images} == {"upper"}
    assert ax.get_aspect() == 1


def test_unknown_labels_are_named_as_labels(fitted, cohort):
    with pytest.raises(ValueError, match=r"y=7 in row 1 is not a class"):
        GradCAMDisplay.from_estimator(fitted, cohort.iloc[:2], [0, 7])
