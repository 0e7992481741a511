"""Harmless findings on knee radiographs; some of them look like a tumor."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ._knee_canvas import step


@dataclass(frozen=True)
class Finding:
    """A benign finding; lengths in millimeters of an adult knee."""

    kind: str  # a key of BRUSHES
    bone: str
    level: float  # along the bone, as y of the outlines
    azimuth: float  # side of the leg in radians: 0 outer, pi / 2 front
    extent: float  # 0 small to 1 large
    strength: float  # 0 faint to 1 plain
    seed: int


def add_finding(canvas, finding):
    """Draw a finding into a view."""
    BRUSHES[finding.kind](canvas, finding, np.random.default_rng(finding.seed))


def shape_outlines(outlines, findings):
    """Change the outlines for findings that deform bones, before anything is drawn."""
    for finding in findings:
        if finding.kind == "osteoarthritis":
            for bone, towards in (("femur", 1.0), ("tibia", -1.0)):
                points = outlines[bone]
                lip = (np.abs(points[:, 0]) > 24.0) & (np.abs(points[:, 1]) < 13.0)
                points[lip] += finding.strength * np.column_stack(
                    [4.5 * np.sign(points[lip, 0]), np.full(lip.sum(), 1.5 * towards)]
                )
            for bone in ("tibia", "fibula"):
                outlines[bone][:, 1] -= 2.6 * finding.strength


def _toward(canvas, finding):
    return float(np.cos(finding.azimuth - canvas.beam))


def _spot(canvas, finding, radius, share):
    """Region around a point at a share of the bone's half width, and the distance to the point."""
    middle, half = canvas.span(finding.bone, finding.level)
    x = middle + share * half * _toward(canvas, finding)
    region = canvas.region(finding.bone, (x, finding.level), 2.2 * radius)
    return region, region.x - x, region.y - finding.level


def _osteoarthritis(canvas, finding, rng):
    """Sclerosis below the narrowed joint space, mostly on the inner side."""
    region = canvas.region("tibia", (0.0, 8.0), 45.0)
    inner_side = 1.0 / (1.0 + np.exp(np.clip(region.x, -60, 60) / 8.0))
    side = inner_side if canvas.view != "lateral" else 0.6
    band = np.exp(-(((region.y - 7.0) / 4.5) ** 2))
    texture = 1.0 + 0.4 * region.noise(rng, 7.0)
    canvas.bone[region.window] += 0.34 * finding.strength * side * band * region.inside * texture


def _bone_island(canvas, finding, rng):
    """Dense spot in cancellous bone with a brush border (enostosis)."""
    radius = 2.5 + 5.5 * finding.extent
    region, x, y = _spot(canvas, finding, radius, 0.5)
    distance = np.hypot(x * 1.2, y * 0.85) / radius + 0.14 * region.noise(rng, 3.0, 2)
    core = region.inside * step(-distance, -1.15, -0.75)
    canvas.bone[region.window] += (0.15 + 0.5 * finding.strength) * core


def _fibrous_defect(canvas, finding, rng):
    """Bubbly lucency in the cortex with a thin dense rim (fibrous cortical defect)."""
    radius = 4.0 + 9.0 * finding.extent
    region, x, y = _spot(canvas, finding, radius, 0.72)
    distance = np.hypot(x * 1.35, y * 0.75) / radius + 0.12 * region.noise(rng, 9.0, 2)
    bone = canvas.bone[region.window]
    rim = np.exp(-(((distance - 1.0) * 5.0) ** 2)) * region.inside
    bone *= 1.0 - 0.45 * finding.strength * step(-distance, -1.05, -0.7)
    bone += (0.1 + 0.22 * finding.strength) * rim


def _osteochondroma(canvas, finding, rng):
    """Bony stalk that leaves the metaphysis and points away from the joint."""
    toward = _toward(canvas, finding)
    away = -1.0 if finding.bone == "femur" else 1.0
    region, x, y = _spot(canvas, finding, 16.0 + 10.0 * finding.extent, 0.9)
    length = 10.0 + 14.0 * finding.extent
    slant = np.clip(y * away / length, 0.0, 1.0)
    center = np.sign(toward) * abs(toward) * length * 0.8 * slant
    width = (4.0 + 3.0 * finding.extent) * (1.0 - 0.25 * slant)
    cap = np.hypot((x - center) / width, np.maximum(np.abs(y - slant * away * length), 0.0) / width)
    cap += 0.08 * region.noise(rng, 6.0)
    bone = canvas.bone[region.window]
    body = step(-cap, -1.0, -0.8)
    shell = np.exp(-(((cap - 0.9) * 5.0) ** 2))
    bone += (0.5 + 0.5 * finding.strength) * (0.22 * body + 0.22 * shell) * (1 - region.inside)
    bone += 0.12 * body * region.inside


def _infarct(canvas, finding, rng):
    """Popcorn or garland calcification in the marrow (infarct, enchondroma)."""
    radius = 8.0 + 14.0 * finding.extent
    region, x, y = _spot(canvas, finding, radius, 0.1)
    envelope = np.exp(-((np.hypot(x * 1.4, y * 0.8) / radius) ** 4)) * region.inside
    grains = step(region.noise(rng, 6.0, 2), 0.2, 1.4)
    canvas.bone[region.window] += (0.15 + 0.6 * finding.strength) * envelope * grains


def _callus(canvas, finding, rng):
    """Healed fracture: spindle of new bone about the shaft, a dense band across it."""
    length = 16.0 + 16.0 * finding.extent
    middle, half = canvas.span(finding.bone, finding.level)
    region = canvas.region(finding.bone, (middle, finding.level), half + length)
    outer = region.outer_distance()
    along = (region.y - finding.level) / length
    lean = 1.0 + 0.6 * _toward(canvas, finding) * np.sign(region.x - middle)
    height = (2.0 + 7.0 * finding.extent) * np.exp(-((along * 1.3) ** 2)) * lean
    height *= 1.0 + 0.3 * region.noise(rng, 14.0)
    new = step(height - outer, 0.0, 1.5) * (outer > 0)
    bone = canvas.bone[region.window]
    bone += (0.2 + 0.45 * finding.strength) * new * (1.0 + 0.25 * region.noise(rng, 6.0))
    slope = rng.uniform(-0.5, 0.5)
    band = np.exp(-(((region.y - finding.level - slope * (region.x - middle)) / 3.5) ** 2))
    bone += 0.3 * finding.strength * band * region.inside


def _myositis(canvas, finding, rng):
    """Ossification in a muscle, densest at its rim, with a gap to the bone."""
    radius = 6.0 + 9.0 * finding.extent
    middle, half = canvas.span(finding.bone, finding.level)
    x = middle + _toward(canvas, finding) * (half + radius + 2.0)
    region = canvas.region(finding.bone, (x, finding.level), 2.0 * radius)
    distance = np.hypot(region.x - x, 0.6 * (region.y - finding.level)) / radius
    distance = distance + 0.18 * region.noise(rng, 9.0)
    rim = np.exp(-(((distance - 0.8) * 4.0) ** 2)) + 0.35 * step(-distance, -0.9, -0.4)
    flaky = np.clip(0.9 + 0.5 * region.noise(rng, 6.0), 0.2, None)
    canvas.bone[region.window] += (0.12 + 0.45 * finding.strength) * rim * flaky


def _vascular(canvas, finding, rng):
    """Calcified wall of the popliteal artery: two broken, winding lines behind the knee."""
    x0 = -48.0 if canvas.view == "lateral" else -8.0
    region = canvas.region("knee", (x0, 0.0), 75.0)
    bend = x0 + 3.5 * np.sin(region.y / 23.0 + rng.uniform(0, 6))
    broken = step(region.noise(rng, 9.0, 2), 0.3 - 0.8 * finding.extent, 1.2)
    walls = sum(np.exp(-(((region.x - bend - s) / 0.8) ** 2)) for s in (-3.0, 3.0))
    canvas.bone[region.window] += (0.1 + 0.3 * finding.strength) * walls * broken


def _effusion(canvas, finding, rng):
    """Fluid in the joint, dense above the kneecap."""
    center = (27.0, -68.0) if canvas.view == "lateral" else (0.0, -55.0)
    spread = (9.0, 24.0) if canvas.view == "lateral" else (50.0, 30.0)
    region = canvas.region("knee", center, 60.0)
    distance = np.hypot((region.x - center[0]) / spread[0], (region.y - center[1]) / spread[1])
    depth = 0.3 if canvas.view == "lateral" else 0.1
    canvas.soft[region.window] += (
        depth * (0.3 + 0.7 * finding.strength) * step(-distance, -1.2, -0.5)
    )


def _tubercle(canvas, finding, rng):
    """Fragments before the tibial tubercle, to be seen from the side."""
    if canvas.view != "lateral":
        return
    for _ in range(rng.integers(1, 4)):
        center = np.array([33.0, 40.0]) + rng.normal(0.0, [1.5, 5.0])
        region = canvas.region("tibia", center, 9.0)
        distance = np.hypot(region.x - center[0], 0.6 * (region.y - center[1]))
        radius = rng.uniform(1.5, 2.5 + 1.5 * finding.extent)
        canvas.bone[region.window] += (0.25 + 0.3 * finding.strength) * step(
            -distance, -1.3 * radius, -0.6 * radius
        )


def _screw(canvas, finding, rng):
    """Screws of a reconstructed ligament in their bone tunnels, in femur and tibia."""
    for bone, start, tip in (("femur", (24, -38), (9, -16)), ("tibia", (-17, 44), (-3, 16))):
        start, tip = np.array(start, float), np.array(tip, float)
        if canvas.view == "lateral":
            start[0], tip[0] = (-12.0, -20.0) if bone == "femur" else (16.0, 2.0)
        start += rng.normal(0.0, 2.5, 2)
        ends = canvas.projection_of(bone).to_pixels([start, start + (tip - start)])
        _draw_rod(canvas.metal, ends, 7.0 * canvas.projection.pixels_per_mm, rng.uniform(0.9, 2.2))


def _draw_rod(metal, ends, width, density):
    """Draw a threaded rod between two points in pixels."""
    along = ends[1] - ends[0]
    length = float(np.hypot(*along)) + 1e-6
    along, across = along / length, np.array([-along[1], along[0]]) / length
    steps = np.arange(0.0, length, max(1.0, width / 4))
    thread = width * (0.4 + 0.1 * (np.arange(steps.size) % 2))
    left = ends[0] + np.outer(steps, along) + np.outer(thread, across)
    right = ends[0] + np.outer(steps, along) - np.outer(thread, across)
    image = Image.new("L", metal.shape[::-1])
    outline = list(map(tuple, np.vstack([left, right[::-1]])))
    if len(outline) > 2:
        ImageDraw.Draw(image).polygon(outline, fill=1)
        metal += np.float32(density) * np.asarray(image)


BRUSHES = {
    "osteoarthritis": _osteoarthritis,
    "bone_island": _bone_island,
    "fibrous_defect": _fibrous_defect,
    "osteochondroma": _osteochondroma,
    "infarct": _infarct,
    "callus": _callus,
    "myositis": _myositis,
    "vascular": _vascular,
    "effusion": _effusion,
    "tubercle": _tubercle,
    "screw": _screw,
}
