"""Images of different patients that look the same."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps
from scipy import ndimage
from sklearn.model_selection import LeaveOneGroupOut

from skosfusion import check_leakage
from skosfusion.exceptions import LeakageWarning
from skosfusion.model_selection import _near_images

from .._helpers.leakage import quiet


def shades(seed, side=256):
    """Draw an image with structure at several scales, as radiographs have."""
    rng = np.random.default_rng(seed)
    image = sum(
        s * ndimage.gaussian_filter(rng.standard_normal((side, side)), s) for s in (4, 12, 40)
    )
    image = (image - image.min()) / np.ptp(image)
    return Image.fromarray((20 + 210 * image).astype(np.uint8))


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(image, *parts):
    left, top, right, bottom = (round(part * image.width) for part in parts)
    return image.crop((left, top, image.width - right, image.height - bottom))


CHANGED = {
    "resized": (lambda image: image.resize((100, 100)), ""),
    "squeezed": (lambda image: image.resize((224, 150)), ""),
    "JPEG": (lambda image: jpeg(image, 40), ""),
    "color": (lambda image: jpeg(image.convert("RGB"), 75), ""),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "inverted": (ImageOps.invert, "inverted"),
    "both": (
        lambda image: jpeg(ImageOps.invert(ImageOps.mirror(image)), 75),
        "mirrored and inverted",
    ),
    "cropped": (lambda image: cropped(image, 0.03, 0.03, 0.03, 0.03), ""),
    "cropped at a corner": (lambda image: cropped(image, 0, 0.03, 0.03, 0), ""),
    "cropped at a side": (lambda image: cropped(image, 0.03, 0, 0, 0), ""),
    "windowed": (lambda image: image.point(lambda value: min(255, round(value * 1.05))), ""),
}


@pytest.fixture
def looks(tmp_path):
    """Six images of six patients that look different."""
    names = [str(tmp_path / f"{row}.png") for row in range(6)]
    for row, name in enumerate(names):
        shades(row).save(name)
    return pd.DataFrame({"image": names, "patient_id": list("abcdef")})


def change(looks, row, like, how):
    with Image.open(looks.loc[like, "image"]) as image:
        how(image.copy()).save(looks.loc[row, "image"])


@pytest.mark.parametrize(("how", "name"), CHANGED.values(), ids=CHANGED)
@pytest.mark.parametrize("directly", [True, False])
def test_a_changed_copy_under_another_patient_is_found(looks, how, name, directly, monkeypatch):
    if not directly:
        monkeypatch.setattr(_near_images, "_COMPARED_DIRECTLY", 0)
    change(looks, 4, 1, how)
    found = quiet(looks, cv=LeaveOneGroupOut())
    line = found.near_images.iloc[0]
    assert len(found.near_images) == 1
    assert line[["row", "other_row", "patient", "other_patient"]].tolist() == [1, 4, "b", "e"]
    assert line[["image", "other_image"]].tolist() == looks.loc[[1, 4], "image"].tolist()
    assert line["change"] == name
    assert 0.9 <= line["agreement"] <= 1
    assert line["in_both"]
    assert found.leaks


def test_images_that_look_different_are_none(looks):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check_leakage(looks, cv=LeaveOneGroupOut(), verbose=0)
    assert found.near_images.empty
    assert "near images of different patients: none" in found.DESCR


def test_images_of_one_patient_are_not_compared(looks):
    change(looks, 4, 1, ImageOps.mirror)
    looks["patient_id"] = list("abcdbf")
    assert quiet(looks).near_images.empty


def test_one_warning_names_the_pair_and_remedies_that_work(looks):
    change(looks, 4, 1, ImageOps.mirror)
    with pytest.warns(
        LeakageWarning, match=r"1 pair \(1.png ~ 4.png, mirrored, in rows 1 and 4"
    ) as caught:
        check_leakage(looks, verbose=0)
    assert len(caught) == 1
    with pytest.raises(ValueError, match="look the same"):
        check_leakage(looks, verbose=0, on_leak="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = check_leakage(looks, near_images="keep", verbose=0)
        assert len(kept.near_images) == 1
        assert not kept.leaks
        check_leakage(looks.drop(index=4), verbose=0)
        check_leakage(looks, list("abcdbf"), verbose=0)
        skipped = check_leakage(looks, near_images="skip", verbose=0)
    assert skipped.near_images.empty
    assert "near images of different patients: not checked" in skipped.DESCR


def test_a_pair_in_one_set_is_a_warning_but_no_leak_of_this_split(looks):
    change(looks, 4, 1, ImageOps.mirror)
    with pytest.warns(LeakageWarning, match="look the same"):
        found = check_leakage(looks, cv=[([0, 2, 3, 5], [1, 4])], verbose=0)
    assert not found.leaks
    assert not found.near_images["in_both"].any()


def test_an_image_of_several_patients_is_near_under_another(looks):
    change(looks, 4, 1, lambda image: image)
    change(looks, 3, 1, ImageOps.invert)
    looks["patient_id"] = list("abcbef")
    lines = quiet(looks).near_images
    assert lines[["row", "other_row", "patient", "other_patient"]].to_numpy().tolist() == [
        [4, 3, "e", "b"]
    ]


def test_equal_pixels_are_repeated_images_and_not_near_ones(looks):
    change(looks, 4, 1, lambda image: image)
    found = quiet(looks)
    assert found.near_images.empty
    assert found.repeated_images["row"].tolist() == [1, 4]


def test_images_that_show_nothing_are_not_alike(looks):
    for row in (1, 4):
        Image.new("L", (50, 50), 10 * row).save(looks.loc[row, "image"])
    assert quiet(looks).near_images.empty


@pytest.mark.parametrize("option", ["spellings", "near_images"])
def test_other_actions_are_refused(looks, option):
    with pytest.raises(ValueError, match=f"{option}='warn' is not allowed; allowed: 'report'"):
        quiet(looks, **{option: "warn"})


def test_many_images_meet_few_others():
    rng = np.random.default_rng(0)
    met = []
    for n_images in (1000, 4000):
        known = rng.standard_normal((n_images, 1, 27)).astype(np.float32)
        met.append(sum(map(len, _near_images._hashed_pairs(known, known))) - 12 * n_images)
    assert met[1] < 10 * met[0]
    assert met[1] < 0.01 * 4000**2


def test_blocks_change_nothing(monkeypatch):
    thumbnails = [_near_images.thumbnail(np.asarray(shades(row % 5))[None]) for row in range(15)]
    expected = _near_images.near_pairs(thumbnails, np.arange(15))
    assert len(expected) == 5 * 3
    for directly in (1000, 0):
        monkeypatch.setattr(_near_images, "_COMPARED_DIRECTLY", directly)
        monkeypatch.setattr(_near_images, "_BLOCK", 7)
        found = _near_images.near_pairs(thumbnails, np.arange(15))
        assert found.first.tolist() == expected.first.tolist()
        assert found.second.tolist() == expected.second.tolist()
