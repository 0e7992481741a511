"""Draw one synthetic knee radiograph.

The image is composed as X-rays compose it: the attenuation of soft tissue, bone and metal adds up
along the beam, then a film curve turns the sum into gray values. A bone is its outline, inflated to
a rounded body with a dense cortex, so that its edges come out bright by themselves.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ._knee_anatomy import (
    CANCELLOUS,
    CORTEX,
    DEPTH,
    FRONTAL,
    LATERAL,
    PHYSIS,
    growth_at,
)
from ._knee_canvas import (
    Canvas,
    Projection,
    chord,
    cloud_noise,
    enlarge,
    look_up,
    silhouette,
    smooth_outline,
)
from ._knee_findings import Finding, add_finding, shape_outlines
from ._knee_tumor import Tumor, add_tumor

VIEWS = ("ap", "lateral", "oblique")
# Attenuation per millimeter at about 60 kV; that of bone is its excess over soft tissue.
MUSCLE, FAT, CORTICAL, TRABECULAR = 0.022, 0.0165, 0.062, 0.0125
# How far forward a part lies, for the turn of the oblique view; millimeters.
FORWARD = {"femur": -4.0, "tibia": 0.0, "fibula": -20.0, "patella": 38.0, "skin": -6.0}


@dataclass(frozen=True)
class Subject:
    """All that the images of one patient share."""

    age: float
    is_female: bool
    seed: int
    tumor: Tumor | None = None
    findings: tuple[Finding, ...] = ()


def draw_knee(subject, view, rng, size):
    """Draw one view of a knee: uint8 pixels, and the tumor's box in pixels or None."""
    anatomy = np.random.default_rng(subject.seed)
    growth = growth_at(subject.age, subject.is_female)
    mirrored = bool(anatomy.random() < 0.5)
    # Sources of their own, so that a tumor moves neither the knee nor the noise.
    seeds = rng.integers(2**63, size=4)
    pose, tissue, lesion, film = (np.random.default_rng(seed) for seed in seeds)
    canvas = _position(view, growth, mirrored, pose, size)
    outlines = _outlines(canvas, growth, anatomy, subject.findings)
    _add_soft_tissue(canvas, outlines, growth, anatomy, tissue)
    mineral = growth.mineral * float(np.clip(anatomy.normal(1.0, 0.08), 0.75, 1.25))
    texture = _trabecular_texture(canvas, anatomy.uniform(0.08, 0.2), tissue)
    for name in ("femur", "tibia", "fibula", "patella"):
        if name in outlines:
            _add_bone(canvas, name, outlines[name], mineral, texture, growth)
    _add_joint_lines(canvas, growth)
    for finding in subject.findings:
        add_finding(canvas, finding)
    box = None if subject.tumor is None else add_tumor(canvas, subject.tumor, lesion)
    return _expose(canvas, mirrored, film), box


def _position(view, growth, mirrored, rng, size):
    """Lay the knee on the detector: turn, scale, shift, and the direction of the beam."""
    # Smaller knees are taken with a smaller field, but not in proportion.
    scale = size / rng.uniform(155.0, 210.0) * growth.size**0.4
    turn = np.deg2rad(rng.normal(0.0, 4.0))
    cos, sin = np.cos(turn), np.sin(turn)
    flip = np.diag([-1.0 if mirrored else 1.0, 1.0])
    matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ flip
    center = size * np.array([0.5 + rng.normal(0.0, 0.035), rng.uniform(0.49, 0.62)])
    beam = {"ap": rng.normal(0.0, 5.0), "lateral": 90.0}.get(view)
    if beam is None:
        beam = rng.choice([-1.0, 1.0]) * rng.uniform(25.0, 45.0)
    flexion = np.deg2rad(rng.uniform(8.0, 40.0) if view == "lateral" else rng.normal(0.0, 2.0))
    projection = Projection(matrix, center, size)
    return Canvas(projection, view, float(np.deg2rad(beam)), float(flexion))


def _outlines(canvas, growth, anatomy, findings):
    """Outlines of this subject's bones and skin in the view, in millimeters."""
    landmarks = LATERAL if canvas.view == "lateral" else FRONTAL
    widths = anatomy.normal(1.0, 0.04, size=5)
    seeds = anatomy.integers(2**32, size=5)
    outlines = {}
    for width, seed, name in zip(widths, seeds, landmarks, strict=True):
        jitter = 0.0 if name == "skin" else 0.5
        points = np.array(landmarks[name], dtype=float)
        points += np.random.default_rng(seed).normal(0.0, jitter, size=points.shape)
        points[:, 0] *= width
        if name in PHYSIS:
            points = _shrink_epiphysis(points, *PHYSIS[name], growth.ossified)
        if name == "patella":
            middle = points.mean(axis=0)
            points = middle + (points - middle) * max(0.0, 2.2 * growth.ossified - 1.2)
        if canvas.view != "lateral":
            points[:, 0] = points[:, 0] * (0.25 + 0.75 * np.cos(canvas.beam))
            points[:, 0] += FORWARD[name] * np.sin(canvas.beam)
        outlines[name] = points
    if growth.ossified < 0.72:
        del outlines["patella"]
    shape_outlines(outlines, findings)
    return outlines


def _shrink_epiphysis(points, plate, core, ossified):
    """Shrink the part beyond the growth plate to the share of it that is bone already."""
    points = points.copy()
    side = np.sign(core - plate)
    beyond = np.clip((points[:, 1] - plate) * side / 6.0, 0.0, 1.0)
    points[:, 0] *= 1.0 - beyond * (1.0 - ossified) * 0.6
    points[:, 1] -= beyond * (1.0 - ossified) * (points[:, 1] - plate)
    return points


def _add_soft_tissue(canvas, outlines, growth, anatomy, rng):
    """Muscle in a layer of fat, drawn at half resolution: nothing in it is sharp but the skin."""
    habitus = anatomy.normal(1.0, 0.07)
    fat = float(np.clip(anatomy.normal(9.0, 3.0), 3.0, 20.0))
    skin = outlines["skin"].copy()
    lower = canvas.projection.turned(canvas.flexion)
    skin[:, 0] *= habitus
    skin = smooth_outline(skin)
    weight = np.clip((skin[:, 1] + 30.0) / 60.0, 0.0, 1.0)[:, None]
    pixels = (1 - weight) * canvas.projection.to_pixels(skin) + weight * lower.to_pixels(skin)
    half = canvas.projection.size // 2
    whole = (slice(0, half), slice(0, half))
    projection = canvas.projection.scaled(0.5)
    depth = _depth_at(silhouette(pixels / 2.0, whole)) / projection.pixels_per_mm
    _, y = projection.to_mm(whole)
    radius = look_up(y, *DEPTH["skin"]) * habitus
    lumps = cloud_noise(rng, depth.shape, half / 5.0)
    layer = fat * (1.0 + 0.15 * lumps)
    muscle = chord(depth - layer, radius - fat)
    streaks = enlarge(rng.standard_normal((5, 22), dtype=np.float32), depth.shape)
    soft = MUSCLE * muscle * (1.0 + 0.02 * streaks + 0.025 * lumps)
    soft += FAT * (chord(depth, radius) - muscle)
    canvas.soft += enlarge(soft * growth.size, canvas.soft.shape)
    np.maximum(canvas.soft, 0.0, out=canvas.soft)


def _depth_at(mask):
    """Distance of each pixel of a mask to its edge, smoothed below the size of a pixel."""
    distance = ndimage.distance_transform_edt(mask).astype(np.float32)
    return np.maximum(ndimage.gaussian_filter(distance, 0.6, truncate=2.0) - 0.4, 0.0)


def _trabecular_texture(canvas, strength, rng):
    """Streaks of cancellous bone, mostly along the leg."""
    shape = canvas.bone.shape
    grain = max(1.0, shape[0] / 256)
    fine = rng.random(shape, dtype=np.float32) - np.float32(0.5)
    fine = ndimage.uniform_filter1d(fine, max(3, round(5 * grain)), axis=0)
    return 1.0 + strength * (7.0 * fine + 0.7 * cloud_noise(rng, shape, 14 * grain, 2))


def _add_bone(canvas, name, outline, mineral, texture, growth):
    """Inflate an outline to a bone with cortex and marrow, and add its attenuation."""
    projection = canvas.projection_of(name)
    curve = smooth_outline(outline)
    window = projection.window(curve)
    mask = silhouette(projection.to_pixels(curve), window)
    canvas.silhouettes[name] = (window, mask)
    depth = _depth_at(mask) / projection.pixels_per_mm
    x, y = projection.to_mm(window)
    # The kneecap is a disc: thin from the front, broad from the side.
    broad = 1.9 if name == "patella" and canvas.view == "lateral" else 1.0
    radius = look_up(y, *DEPTH[name]) * broad
    cortex = look_up(y, *CORTEX[name]) * (0.5 + 0.5 * mineral)
    whole = chord(depth, radius)
    marrow = chord(depth - cortex, radius - cortex)
    density = TRABECULAR * mineral * look_up(y, *CANCELLOUS[name])
    bone = CORTICAL * (whole - marrow) + density * marrow * texture[window]
    if name in PHYSIS:
        bone *= _growth_plate(x, y, name, growth.open_plate)
    canvas.bone[window] += bone * growth.size


# Millimeters along a growth plate, and past it towards the joint.
_ACROSS, _PAST = np.linspace(-60.0, 60.0, 121), np.linspace(-12.0, 12.0, 241)


def _growth_plate(x, y, name, openness):
    """Factor on the bone: a lucent, slightly wavy band with a dense metaphyseal margin."""
    plate, core = PHYSIS[name]
    wave = plate + 1.6 * np.cos(_ACROSS / 7.0) + 0.0018 * _ACROSS**2
    band = np.exp(-((_PAST / (0.8 + 0.9 * openness)) ** 2))
    margin = np.exp(-(((_PAST + 2.6) / 1.1) ** 2))
    scar = np.exp(-((_PAST / 0.9) ** 2))
    factor = 1.0 + openness * (0.22 * margin - 0.62 * band) + 0.12 * (1.0 - openness) * scar
    past = (y - look_up(x, _ACROSS, wave)) * float(np.sign(core - plate))
    return look_up(past, _PAST, factor)


def _add_joint_lines(canvas, growth):
    """Draw what lies inside the outlines: the notch, its roof, the second condyle."""
    whole = canvas.region("femur", (0.0, -10.0), 45.0)
    bone = canvas.bone[whole.window]
    if canvas.view == "lateral":
        # Blumensaat's line, and the second condyle a few millimeters off the first.
        roof = np.abs(whole.y + 22.0 - 0.64 * (whole.x + 6.0))
        along = np.exp(-(((whole.x + 4.0) / 16.0) ** 4))
        bone += 0.28 * growth.size * along * np.exp(-((roof / 0.9) ** 2)) * whole.inside
        ring = np.hypot((whole.x + 13.0) / 21.0, (whole.y + 21.0) / 18.0) - 1.0
        bone += 0.16 * growth.size * np.exp(-((ring * 20.0 / 0.9) ** 2)) * whole.inside
    else:
        notch = np.hypot(whole.x / 9.5, (whole.y + 12.0) / 13.0)
        bone *= 1.0 - 0.24 * np.exp(-(notch**4))
        rim = np.exp(-(((notch - 1.05) * 9.5 / 1.1) ** 2)) * (whole.y < -10.0) * whole.inside
        bone += 0.12 * growth.size * rim


def _expose(canvas, mirrored, rng):
    """Turn attenuation into gray values, as a digital detector and its processing would."""
    size = canvas.projection.size
    # The detector's processing evens out broad differences, which lets cortex and marrow show.
    coarse = Image.fromarray(canvas.bone).resize((size // 8, size // 8), Image.Resampling.BOX)
    broad = enlarge(ndimage.gaussian_filter(np.asarray(coarse), 1.2), canvas.bone.shape)
    total = 0.62 * canvas.soft + canvas.bone - 0.35 * broad + canvas.metal
    blur = rng.uniform(0.45, 0.95) * size / 256
    total = ndimage.gaussian_filter(total, blur, truncate=2.5)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    total += rng.normal(0.0, 0.12) * ramp + rng.normal(0.0, 0.12) * ramp[:, None]
    noise = rng.random((size, size), dtype=np.float32) - np.float32(0.5)
    total += (3.5 * rng.uniform(0.012, 0.04)) * noise * (1.0 + 0.3 * total)
    flesh, bony = _levels(canvas)
    dark, bright = rng.uniform(0.22, 0.38), rng.uniform(0.62, 0.74)
    contrast = (_logit(bright) - _logit(dark)) / (bony - flesh)
    gray = 1.0 / (1.0 + np.exp(-contrast * (total - flesh) - _logit(dark)))
    floor = 1.0 / (1.0 + np.exp(contrast * flesh - _logit(dark)))
    gray = (gray - floor) / (1.0 - floor) * rng.uniform(0.94, 1.03) + rng.uniform(0.01, 0.05)
    image = Image.fromarray((np.clip(gray, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    _collimate(image, canvas.view, rng)
    _mark_side(image, mirrored, rng)
    return np.asarray(image)


def _levels(canvas):
    """Typical attenuation of the soft tissue and of bone, which the exposure is set to."""
    coarse = slice(None, None, 4)
    soft, bone = 0.62 * canvas.soft[coarse, coarse], canvas.bone[coarse, coarse]
    flesh = float(np.quantile(soft[soft > 0.5 * soft.max()], 0.4))
    bony = float(np.quantile((soft + 0.65 * bone)[bone > 0.15], 0.6)) if (bone > 0.15).any() else 0
    return flesh, max(bony, flesh + 0.25)


def _logit(share):
    return float(np.log(share / (1.0 - share)))


def _collimate(image, view, rng):
    """Blacken what the shutters of the tube cover: often both sides, sometimes top or bottom."""
    if rng.random() < 0.4:
        return
    size = image.size[0]
    sides = rng.uniform(0.0, 0.14 if view != "lateral" else 0.07, size=2) * size
    ends = rng.uniform(0.0, 0.05, size=2) * size * (rng.random() < 0.4)
    tilt = rng.normal(0.0, 0.01) * size
    left, right, top, bottom = sides[0], size - sides[1], ends[0], size - ends[1]
    brush = ImageDraw.Draw(image)
    dark = int(rng.integers(0, 10))
    brush.polygon([(0, 0), (left + tilt, 0), (left - tilt, size), (0, size)], fill=dark)
    brush.polygon([(size, 0), (right + tilt, 0), (right - tilt, size), (size, size)], fill=dark)
    brush.polygon([(0, 0), (size, 0), (size, top - tilt), (0, top + tilt)], fill=dark)
    brush.polygon([(0, size), (size, size), (size, bottom - tilt), (0, bottom + tilt)], fill=dark)


def _mark_side(image, mirrored, rng):
    """Put a lead letter into a corner of some images."""
    if rng.random() < 0.5:
        return
    size = image.size[0]
    height = size * rng.uniform(0.05, 0.08)
    left = size * (0.04 if rng.random() < 0.5 else 0.88)
    top = size * (0.05 if rng.random() < 0.6 else 0.86)
    width = max(1, round(size / 90))
    right = [(0, 1), (0, 0), (0.5, 0), (0.6, 0.22), (0.5, 0.48), (0, 0.48), (0.25, 0.48), (0.6, 1)]
    letter = [(0, 0), (0, 1), (0.55, 1)] if mirrored else right
    line = [(left + height * x, top + height * y) for x, y in letter]
    ImageDraw.Draw(image).line(line, fill=int(rng.integers(200, 256)), width=width)
