"""Osteosarcoma about the knee, as it shows on radiographs.

Signs drawn: cloud-like new bone within the bone and beyond it, spicules radiating from the surface
(sunburst), Codman's triangle, moth-eaten destruction, and a soft-tissue mass.
"""

import math
from dataclasses import dataclass

import numpy as np

from ._knee_canvas import look_up, step


@dataclass(frozen=True)
class Tumor:
    """An osteosarcoma; lengths in millimeters of an adult knee."""

    bone: str
    level: float
    half_length: float
    azimuth: float  # side of the bone on which it grows out, radians: 0 outer, pi / 2 front
    visibility: float  # 0 hardly to be seen, 1 unmistakable
    blastic: float  # 0 bone is only destroyed, 1 only formed
    seed: int


def add_tumor(canvas, tumor, rng):
    """Draw a tumor and return its box: left, top, right, bottom in pixels."""
    own = np.random.default_rng(tumor.seed)
    seen = tumor.visibility * rng.uniform(0.8, 1.0)
    gain = 1.35 * seen**0.8
    toward = math.cos(tumor.azimuth - canvas.beam)
    side, profile = math.copysign(1.0, toward), abs(toward)
    half = tumor.half_length
    outgrowth = (3.0 + 26.0 * seen) * (0.35 + 0.65 * profile)
    axis, width = canvas.span(tumor.bone, tumor.level)
    reach = max(1.5 * half, width + 1.6 * outgrowth) + 4.0
    region = canvas.region(tumor.bone, (axis, tumor.level), reach)
    outer, inner = region.outer_distance(), region.inner_distance()
    along = (region.y - tumor.level) / half
    envelope = np.exp(-(np.abs(along) ** 3))
    sided = _sided(region, axis, side, profile)
    bone, soft = canvas.bone[region.window], canvas.soft[region.window]
    before = bone + soft

    _destroy(bone, region, own, envelope * (0.35 + 0.65 * sided), inner, tumor, seen)
    coarse, fine = region.noise(own, 16.0, 2), region.noise(own, 5.0, 2)
    around = np.exp(-((outer / outgrowth) ** 2)) * (outer > 0)
    fluffy = step(coarse + 0.35 * fine, 0.3 - 1.3 * seen, 2.6 - 0.9 * seen)
    medullary = region.inside * envelope * (0.4 + 0.6 * sided)
    density = 0.45 * medullary + 0.65 * around * sided * envelope
    bone += gain * (0.4 + 1.1 * tumor.blastic) * fluffy * density
    bone += gain * profile * _sunburst(region, own, outer, along, outgrowth, tumor) * sided
    bone += gain * profile * _codman(outer, along, half, outgrowth) * sided
    swelling = np.clip(1.0 - (outer / (1.6 * outgrowth)) ** 2, 0.0, None) * (outer > 0)
    bulge = np.exp(-(np.abs(along / 1.1) ** 3)) * (0.15 + 0.85 * sided)
    soft += 0.55 * seen * np.sqrt(swelling) * bulge
    return _box(region, np.abs(bone + soft - before))


def _sided(region, axis, side, profile):
    """Weight that favors the side of the outgrowth, the more so the more it is in profile."""
    lean = 1.0 / (1.0 + np.exp(-side * (region.x - axis) / 5.0))
    return 1.0 - profile * (1.0 - lean) * 0.9


def _destroy(bone, region, own, where, inner, tumor, seen):
    """Eat holes into the bone; the cortex goes first."""
    holes = step(region.noise(own, 8.0), 0.9 - 1.3 * seen, 2.0 - 0.8 * seen)
    cortical = 1.0 + 0.6 * np.exp(-((inner / 5.0) ** 2))
    loss = seen * (0.75 - 0.5 * tumor.blastic) * holes * where * cortical * region.inside
    bone *= 1.0 - np.clip(loss, 0.0, 0.92)


def _sunburst(region, own, outer, along, outgrowth, tumor):
    """Spicules that stand on the surface and fan out."""
    half = tumor.half_length
    # Where on the bone a spicule stands; they fan out, and bend a little.
    root = along / (1.0 + 0.5 * outer / half) + 0.03 * outer / half * region.noise(own, 14.0, 1)
    knots = np.arange(-2.5 * half, 2.5 * half, own.uniform(0.9, 1.5))
    spicules = look_up(root * half, knots, own.standard_normal(knots.size))
    lengths = own.uniform(0.5, 1.3, knots.size) * outgrowth
    fade = step(-outer / look_up(root * half, knots, lengths), -1.0, -0.35) * (outer > 0)
    strength = own.uniform(0.1, 0.9) * tumor.blastic
    return strength * step(spicules, 0.0, 1.2) * fade * np.exp(-((root * 1.1) ** 4))


def _codman(outer, along, half, outgrowth):
    """Periosteum lifted off at both ends of the outgrowth, a thin line over a faint wedge."""
    away = (np.abs(along) - 0.7) * half
    foot = 0.55 * half
    height = np.clip(0.5 * outgrowth * (1.0 - away / foot), 0.0, 0.5 * outgrowth)
    there = (away > 0) & (away < foot) & (outer > 0)
    line = np.exp(-(((outer - height) / 0.9) ** 2))
    return there * (0.4 * line + 0.12 * (outer < height))


def _box(region, change):
    """Bounding box of what a lesion changed visibly."""
    strong = change >= 0.15 * change.max()
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    top, left = region.window[0].start, region.window[1].start
    return (
        float(left + columns[0]),
        float(top + rows[0]),
        float(left + columns[-1] + 1),
        float(top + rows[-1] + 1),
    )
