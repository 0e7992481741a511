"""Which images show nearly the same: resized, compressed again, mirrored, inverted, cropped a bit.

Every image is known by a thumbnail. Low frequencies of the thumbnail, and of some crops of it, are
hashed; images that share a hash and are near are laid on each other, and their details compared.
"""

import numpy as np
from PIL import Image
from scipy import fft, ndimage

THUMBNAIL_SIDE = 64

#: How the second image of a pair was made from the first, and the sign and step that undo it.
CHANGES = {
    "": (1, 1),
    "mirrored": (1, -1),
    "inverted": (-1, 1),
    "mirrored and inverted": (-1, -1),
}
# Left, top, right and bottom, as parts of the side. Crops of up to 0.03 are near to one of these.
_CROPS = (
    (0, 0, 0, 0),
    (0.015, 0.015, 0.015, 0.015),
    (0.03, 0.03, 0.03, 0.03),
    (0.03, 0.03, 0, 0),
    (0, 0.03, 0.03, 0),
    (0.03, 0, 0, 0.03),
    (0, 0, 0.03, 0.03),
)
_SIDE = 32
_N_FREQUENCIES = 27
# Distances of low frequencies: 96 % of cropped radiographs are below 0.14, half of other pairs
# above 0.8. Shares of fine detail that agree: 0.95 to 1 for changed radiographs, at most 0.8 for
# others; drawn images of one template agree in coarse detail, up to 0.94, and not in fine detail.
_NEAR = 0.18
_SAME_COARSE = 0.9
_SAME = 0.9
_MOST_MOVED = 0.03
# A thumbnail whose gray values differ less shows nothing.
_MIN_DEVIATION = 2.0
_N_TABLES = 12
_COMPARED_DIRECTLY = 1000
_BLOCK = 2**19


def thumbnail(pixels):
    """Return an image, channels first, as a small gray square of uint8."""
    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = [Image.fromarray(one).resize(size, Image.Resampling.BILINEAR) for one in pixels]
    return np.rint(np.mean(small, axis=0)).astype(np.uint8)


def near_pairs(thumbnails, owners):
    """Find pairs of near images of different owners.

    Returns the first and the second image, the change (a place in `CHANGES`) and the share of
    detail that agrees, of each pair. An owner of -1 is different from all.
    """
    shape = (-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    thumbnails = np.asarray(thumbnails, np.uint8).reshape(shape)
    shows = thumbnails.std(axis=(1, 2)) >= _MIN_DEVIATION
    places = np.flatnonzero(shows)
    thumbnails, owners = thumbnails[places], np.asarray(owners)[places]
    if len(places) < 2:
        return _Pairs.none()
    asked, known = _both_ways(_known_frequencies(thumbnails))
    join = _all_pairs if len(places) <= _COMPARED_DIRECTLY else _hashed_pairs
    found = [_Pairs.none()]
    for pairs in join(asked, known):
        is_other = (owners[pairs.first] != owners[pairs.second]) | (owners[pairs.first] < 0)
        pairs = pairs[is_other & (pairs.first != pairs.second)]
        difference = asked[pairs.first, pairs.change] - known[pairs.second, pairs.crop]
        distance = np.sqrt((difference**2).sum(axis=1))
        found.append(pairs[distance <= _NEAR].with_value(distance[distance <= _NEAR]))
        if sum(map(len, found[1:])) > _BLOCK:
            found = [_Pairs.joined(found).best(by_change=True)]
    pairs = _Pairs.joined(found).best(by_change=True)
    agreement = _agreement(thumbnails, pairs)
    pairs = pairs[agreement >= _SAME].with_value(-agreement[agreement >= _SAME]).ordered().best()
    return pairs.renumbered(places)


class _Pairs:
    """Columns of pairs: two images, the change of the first, the crop of the second, a value."""

    def __init__(self, first, second, change, crop, value=None):
        self.first, self.second, self.change, self.crop = first, second, change, crop
        self.value = np.zeros(len(first)) if value is None else value

    @property
    def _columns(self):
        return self.first, self.second, self.change, self.crop, self.value

    def __len__(self):
        return len(self.first)

    def __getitem__(self, which):
        return _Pairs(*(column[which] for column in self._columns))

    @classmethod
    def none(cls):
        return cls(*np.empty((4, 0), int))

    @classmethod
    def joined(cls, parts):
        return cls(*map(np.concatenate, zip(*(part._columns for part in parts), strict=True)))

    def with_value(self, value):
        return _Pairs(*self._columns[:4], value)

    def ordered(self):
        """Return each pair with the smaller number first; all changes undo themselves."""
        first, second = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        return _Pairs(first, second, *self._columns[2:])

    def best(self, *, by_change=False):
        """Return the line of smallest value of each pair; of each change of it if `by_change`."""
        change = self.change if by_change else np.zeros_like(self.change)
        order = np.lexsort((self.value, change, self.second, self.first))
        keys = np.column_stack([self.first, self.second, change])[order]
        is_new = np.ones(len(keys), bool)
        is_new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        return self[order[is_new]]

    def renumbered(self, places):
        return _Pairs(places[self.first], places[self.second], *self._columns[2:])


def _squares(thumbnails, crop, side=_SIDE):
    """Return crops of thumbnails as squares of mean 0 and deviation 1."""
    left, top, right, bottom = crop
    squares = (
        _sampler(top, bottom, side) @ thumbnails.astype(np.float32) @ _sampler(left, right, side).T
    )
    squares -= squares.mean(axis=(1, 2), keepdims=True)
    return squares / np.sqrt((squares**2).mean(axis=(1, 2), keepdims=True) + 1)


def _sampler(before, after, side):
    """Return the matrix that resizes a line of a thumbnail without its ends."""
    before, after = np.clip((before, after), 0, 0.4)
    box = (0, before * THUMBNAIL_SIDE, THUMBNAIL_SIDE, (1 - after) * THUMBNAIL_SIDE)
    lines = Image.fromarray(np.eye(THUMBNAIL_SIDE, dtype=np.float32))
    return np.asarray(lines.resize((THUMBNAIL_SIDE, side), Image.Resampling.BILINEAR, box=box))


def _order():
    """Return row and column of the lowest frequencies but 0."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    order = np.lexsort(((rows**2 + columns**2).ravel(), (rows + columns).ravel()))
    order = order[1 : _N_FREQUENCIES + 1]
    return rows.ravel()[order], columns.ravel()[order]


def _frequencies(squares):
    rows, columns = _order()
    waves = fft.dct(np.eye(_SIDE), axis=0, norm="ortho").astype(np.float32) / np.sqrt(_SIDE)
    waves = waves[: max(rows.max(), columns.max()) + 1]
    return (waves @ squares @ waves.T)[:, rows, columns]


def _known_frequencies(thumbnails):
    """Return low frequencies of all crops of thumbnails."""
    blocks = [thumbnails[start : start + 512] for start in range(0, len(thumbnails), 512)]
    crops = [[_frequencies(_squares(block, crop)) for block in blocks] for crop in _CROPS]
    return np.stack([np.concatenate(parts) for parts in crops], axis=1)


def _both_ways(known):
    """Return the frequencies with all changes undone, and those of the crops."""
    signs = np.stack([_signs(change) for change in CHANGES.values()])
    return known[:, :1] * signs, known


def _signs(change):
    """Return what a change does to the frequencies."""
    sign, step = change
    return sign * np.where(_order()[1] % 2, step, 1).astype(np.float32)


def _all_pairs(asked, known):
    """Yield the near ones of all pairs, some at a time."""
    _, n_changes, n_frequencies = asked.shape
    n_crops = known.shape[1]
    known = known.reshape(-1, n_frequencies)
    lengths = (known**2).sum(axis=1)
    asked = asked.reshape(-1, n_frequencies)
    step = max(1, _BLOCK // len(known))
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        squares = (part**2).sum(axis=1)[:, None] + lengths - 2 * part @ known.T
        asking, met = np.nonzero(squares <= _NEAR**2 + 1e-3)
        asking += start
        yield _Pairs(asking // n_changes, met // n_crops, asking % n_changes, met % n_crops)


def _hashed_pairs(asked, known):
    """Yield pairs of images that have one of their hashes in common, some at a time."""
    n_images, n_changes, n_frequencies = asked.shape
    n_crops = known.shape[1]
    # A bit more for twice as many images keeps the number of those that meet by chance.
    n_bits = min(10 + int(np.log2(n_images)), 40)
    center = known[:, 0].mean(axis=0)
    # High frequencies are weak, and tell as much.
    weights = 1 / np.sqrt(known[:, 0].std(axis=0) + 0.01)
    rng = np.random.default_rng(0)
    for _ in range(_N_TABLES):
        directions = weights[:, None] * rng.standard_normal((n_frequencies, n_bits))
        hashes = _hashes(known - center, directions).ravel()
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        wanted = _hashes(asked - center, directions).ravel()
        starts = np.searchsorted(hashes, wanted)
        counts = np.searchsorted(hashes, wanted, side="right") - starts
        for block in _blocks(counts):
            n_met = counts[block]
            asking = np.repeat(np.arange(block.start, block.stop), n_met)
            within = np.arange(len(asking)) - np.repeat(np.cumsum(n_met) - n_met, n_met)
            met = order[np.repeat(starts[block], n_met) + within]
            yield _Pairs(asking // n_changes, met // n_crops, asking % n_changes, met % n_crops)


def _hashes(values, directions):
    bits = values @ directions > 0
    return bits @ (1 << np.arange(bits.shape[-1], dtype=np.int64))


def _blocks(counts):
    """Yield slices whose counts add up to a block, or of one."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        limit = (ends[start - 1] if start else 0) + _BLOCK
        stop = max(int(np.searchsorted(ends, limit, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _agreement(thumbnails, pairs, step=256):
    """Return the share of the detail of the first images that the second ones explain.

    Coarse detail shows how an image was moved; what agrees there is compared in fine detail.
    """
    shares = [np.empty(0)]
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        crops = np.array(_CROPS)[part.crop]
        share, moved = _explained(*_laid_on_each_other(thumbnails, part, crops, _SIDE))
        close = np.flatnonzero(share >= _SAME_COARSE)
        if len(close):
            crops = crops[close] + moved[close]
            laid = _laid_on_each_other(thumbnails, part[close], crops, THUMBNAIL_SIDE)
            share[close] = np.minimum(share[close], _explained(*laid)[0])
        shares.append(share)
    return np.concatenate(shares)


def _laid_on_each_other(thumbnails, pairs, crops, side):
    """Return the first images with their changes undone, and the second ones cropped."""
    firsts = _squares(thumbnails[pairs.first], _CROPS[0], side)
    for number, (sign, step) in enumerate(CHANGES.values()):
        here = pairs.change == number
        firsts[here] = sign * firsts[here][:, :, ::step]
    seconds = np.empty_like(firsts)
    different, which = np.unique(np.round(crops, 4), axis=0, return_inverse=True)
    for number, crop in enumerate(different):
        here = which.ravel() == number
        seconds[here] = _squares(thumbnails[pairs.second[here]], crop, side)
    return firsts, seconds


def _explained(targets, images):
    """Fit images, moved and scaled a little, to targets.

    Returns the explained share of detail, and by how much the images are to be cropped further.
    """
    side = images.shape[-1]
    targets, images = (_smooth(x, 0.7) for x in (targets, images))
    down, right = np.gradient(images, axis=(1, 2))
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    parts = np.stack([images, right, down, right * columns, down * rows], axis=1)
    parts, targets = (_detail(x) for x in (parts, targets))
    parts, targets = (x.reshape(*x.shape[:-2], -1) for x in (parts, targets))
    squares = parts @ parts.transpose(0, 2, 1) + 1e-3 * np.eye(parts.shape[1])
    weights = np.linalg.solve(squares, parts @ targets[:, :, None])
    rest = targets - (parts * weights).sum(axis=1)
    share = 1 - (rest**2).sum(axis=1) / np.maximum((targets**2).sum(axis=1), 1e-6)
    gain, x, y, wide, high = weights[:, :, 0].T
    moved = np.stack([x - wide, y - high, -x - wide, -y - high], axis=1)
    moved /= side * np.maximum(gain, 0.1)[:, None]
    return share, np.clip(moved, -_MOST_MOVED, _MOST_MOVED)


def _detail(images):
    return (images - _smooth(images, 2))[..., 2:-2, 2:-2]


def _smooth(images, width):
    """Blur squares by a Gaussian, as a product of matrices, which is faster for small ones."""
    blur = ndimage.gaussian_filter1d(np.eye(images.shape[-1]), width, axis=0)
    blur = blur.astype(np.float32)
    return blur @ images @ blur.T
