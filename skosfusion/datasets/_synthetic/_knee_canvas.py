"""Canvas on which a radiograph is drawn: where millimeters fall on it, and the brushes."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

LOWER_LEG = frozenset({"tibia", "fibula"})


@dataclass(frozen=True)
class Projection:
    """Linear map from millimeters of the knee to pixels: ``pixel = matrix @ mm + center``."""

    matrix: np.ndarray
    center: np.ndarray
    size: int

    @property
    def pixels_per_mm(self):
        """Scale of the image."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def turned(self, angle):
        """Return the projection of a part turned about the joint by an angle in radians."""
        cos, sin = np.cos(angle), np.sin(angle)
        return Projection(self.matrix @ np.array([[cos, -sin], [sin, cos]]), self.center, self.size)

    def scaled(self, factor):
        """Return the projection onto a smaller or larger image."""
        return Projection(self.matrix * factor, self.center * factor, round(self.size * factor))

    def to_pixels(self, points):
        """Map points of shape (n_points, 2) from millimeters to pixels (column, row)."""
        return np.asarray(points) @ self.matrix.T + self.center

    def to_mm(self, window):
        """Return x and y in millimeters of every pixel center in a window of the image."""
        rows, columns = window
        inverse = np.linalg.inv(self.matrix)
        column, row = (
            np.arange(span.start, span.stop, dtype=np.float32) + np.float32(0.5 - center)
            for span, center in zip((columns, rows), self.center, strict=True)
        )
        to_x, to_y = inverse.astype(np.float32)
        x = to_x[0] * column + (to_x[1] * row)[:, None]
        y = to_y[0] * column + (to_y[1] * row)[:, None]
        return x, y

    def window(self, points, margin=2):
        """Smallest window of the image that holds points given in millimeters."""
        pixels = self.to_pixels(points)
        low = np.clip(np.floor(pixels.min(axis=0)) - margin, 0, self.size - 1).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=0)) + margin, low + 1, self.size).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])


def smooth_outline(points, n_steps=6):
    """Draw a closed Catmull-Rom curve through landmarks: n_steps points for each of them."""
    points = np.asarray(points, dtype=float)
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0.0, 1.0, n_steps, endpoint=False)[:, None, None]
    curve = points + t / 2 * (
        (after - before)
        + t * (2 * before - 5 * points + 4 * after - beyond)
        + t**2 * (3 * (points - after) + beyond - before)
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)


_UNIT = np.linspace(0.0, 1.0, 1024)


def look_up(values, knots, heights):
    """Piecewise linear function of an array, read from a fine table (faster than np.interp)."""
    low, high = float(knots[0]), float(knots[-1])
    table = np.interp(low + (high - low) * _UNIT, knots, heights).astype(np.float32)
    index = (values - np.float32(low)) * np.float32(1023 / (high - low))
    np.clip(index, 0, 1023, out=index)
    return table[index.astype(np.intp)]


def chord(depth, radius):
    """Length of the beam inside a round body, at a depth behind its outline (all in mm)."""
    depth = np.clip(depth, 0.0, radius)
    return 2.0 * np.sqrt(depth * (2.0 * radius - depth))


def silhouette(outline, window):
    """Pixels of a window inside an outline of pixel coordinates, as a boolean array."""
    rows, columns = window
    shape = (columns.stop - columns.start, rows.stop - rows.start)
    image = Image.new("L", shape)
    shifted = outline - (columns.start + 0.5, rows.start + 0.5)
    ImageDraw.Draw(image).polygon(shifted.ravel().tolist(), fill=255)
    return np.asarray(image) > 0


def enlarge(coarse, shape):
    """Resize a small float array to a shape, bicubically."""
    image = Image.fromarray(np.ascontiguousarray(coarse, dtype=np.float32))
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BICUBIC))


def cloud_noise(rng, shape, grain, octaves=3):
    """Fractal noise of mean 0 and variance about 1; ``grain`` is its coarsest period in pixels."""
    total, power = np.float32(0.0), 0.0
    for octave in range(octaves):
        period = max(grain / 2.0**octave, 1.0)
        coarse = [int(np.ceil(n / period)) + 2 for n in shape]
        layer = np.float32(0.75**octave) * rng.standard_normal(coarse, dtype=np.float32)
        total = layer if octave == 0 else enlarge(total, layer.shape) + layer
        power += 0.6 * 0.75 ** (2 * octave)
    return enlarge(total / np.float32(np.sqrt(power)), shape)


def step(values, low, high):
    """Smooth step from 0 below ``low`` to 1 above ``high``."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@dataclass
class Canvas:
    """A radiograph being drawn: the attenuation of each tissue, and where the bones lie."""

    projection: Projection
    view: str
    beam: float  # direction about the leg in radians: 0 from the front, pi / 2 from the side
    flexion: float  # of the knee, radians
    soft: np.ndarray = field(init=False)
    bone: np.ndarray = field(init=False)
    metal: np.ndarray = field(init=False)
    silhouettes: dict = field(default_factory=dict)  # bone -> (window, boolean array)

    def __post_init__(self):
        shape = (self.projection.size, self.projection.size)
        self.soft, self.bone, self.metal = (np.zeros(shape, np.float32) for _ in range(3))

    def projection_of(self, part):
        """Projection of one bone: below the joint, everything turns with the lower leg."""
        return self.projection.turned(self.flexion) if part in LOWER_LEG else self.projection

    def span(self, bone, level):
        """Middle and half width (mm) of a bone's silhouette at a level along the bone."""
        if bone in self.silhouettes:
            window, mask = self.silhouettes[bone]
            x, y = self.projection_of(bone).to_mm(window)
            across = x[mask & (np.abs(y - level) < 2.0)]
            if across.size:
                return float(across.max() + across.min()) / 2, float(np.ptp(across)) / 2
        return 0.0, 15.0

    def region(self, bone, center, reach):
        """Look at the surroundings of a point of a bone (mm), up to a reach (mm) from it."""
        projection = self.projection_of(bone)
        corners = np.array(center) + reach * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        window = projection.window(corners)
        inside = np.zeros([part.stop - part.start for part in window], bool)
        if bone in self.silhouettes:
            _paste(inside, window, *self.silhouettes[bone])
        return Region(window, *projection.to_mm(window), inside, projection.pixels_per_mm)


@dataclass
class Region:
    """Part of the canvas around a lesion, in coordinates of the bone that bears it."""

    window: tuple
    x: np.ndarray  # millimeters, shape of the window
    y: np.ndarray
    inside: np.ndarray  # boolean: within the silhouette of the bone
    pixels_per_mm: float

    def outer_distance(self):
        """Millimeters from the surface of the bone, 0 within it."""
        if not self.inside.any():
            return np.full(self.inside.shape, 1e3, np.float32)
        return self._distance(~self.inside)

    def inner_distance(self):
        """Millimeters below the surface of the bone, 0 outside it."""
        if self.inside.all():
            return np.full(self.inside.shape, 1e3, np.float32)
        return self._distance(self.inside)

    def _distance(self, mask):
        distance = ndimage.distance_transform_edt(mask).astype(np.float32)
        return distance / np.float32(self.pixels_per_mm)

    def noise(self, rng, grain, octaves=3):
        """Fractal noise with a coarsest period of ``grain`` millimeters."""
        return cloud_noise(rng, self.inside.shape, grain * self.pixels_per_mm, octaves)


def _paste(target, target_window, source_window, source):
    """Copy the part of a source that overlaps a target, both given by windows of one image."""
    low = [max(a.start, b.start) for a, b in zip(target_window, source_window, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(target_window, source_window, strict=True)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return
    to, of = (
        tuple(slice(m - w.start, n - w.start) for m, n, w in zip(low, high, window, strict=True))
        for window in (target_window, source_window)
    )
    target[to] = source[of]
