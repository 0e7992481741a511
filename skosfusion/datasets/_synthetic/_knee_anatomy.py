"""Outlines of the bones and soft tissue around a knee, in millimeters of an adult man's knee.

The origin is the center of the joint, y points to the foot. In the frontal views x points to the
outer (fibular) side, in the lateral view to the front. Proportions follow anatomy textbooks;
they are drawn by eye and measure nobody.
"""

from dataclasses import dataclass

import numpy as np

# Closed outlines; the shafts run far out of the image.
FRONTAL = {
    "femur": [
        (-14.5, -400), (-14.5, -190), (-15, -140), (-16.5, -108), (-20, -84), (-27, -64),
        (-36, -49), (-41, -38), (-42.5, -26), (-41.5, -14), (-37, -4.5), (-28, -0.5), (-18, -0.5),
        (-11, -4), (-6, -9.5), (0, -11.5), (6, -9.5), (11, -4), (18, 0), (28, 0), (37, -4.5),
        (41, -15), (41, -28), (38, -42), (31, -54), (23, -68), (18, -88), (15.5, -112),
        (15, -140), (14.5, -190), (14.5, -400),
    ],
    "tibia": [
        (-39, 9), (-34, 5.6), (-24, 5.8), (-14, 5), (-8.5, 1.5), (-5, -5), (-1.5, -1),
        (2, -1), (5, -4), (8.5, 2), (14, 5), (24, 4.8), (33, 4.6), (38.5, 7.5), (39.5, 15),
        (37, 25), (32, 36), (26, 50), (20, 68), (16, 92), (14, 130), (13, 190), (13, 400),
        (-12.5, 400), (-12.5, 190), (-13.5, 130), (-16, 92), (-21, 68), (-29, 46), (-36, 30),
        (-39.5, 18),
    ],
    "fibula": [
        (36, 14), (40, 17), (43.5, 24), (43, 32), (39.5, 45), (37, 62), (36, 100), (36, 170),
        (35, 400), (25, 400), (26.5, 170), (27, 100), (28.5, 62), (29.5, 45), (30, 32), (31, 22),
    ],
    "patella": [
        (-20, -38), (-14, -49), (0, -53), (14, -49), (21, -38), (17, -25), (9, -16), (1, -12),
        (-7, -16), (-16, -25),
    ],
    "skin": [
        (-72, -400), (-70, -170), (-64, -110), (-58, -60), (-56, -20), (-55, 15), (-53, 45),
        (-58, 90), (-59, 130), (-52, 190), (-44, 400), (44, 400), (54, 190), (60, 130), (58, 90),
        (54, 45), (55, 15), (56, -20), (59, -60), (65, -110), (72, -170), (76, -400),
    ],
}  # fmt: skip
LATERAL = {
    "femur": [
        (17, -400), (22.5, -190), (22.5, -140), (21.5, -105), (21, -80), (23, -62), (27.5, -48),
        (29.5, -36), (28, -23), (22, -11), (13, -3), (2, 0), (-10, -0.5), (-23, -4), (-33, -12),
        (-38.5, -24), (-37.5, -36), (-31, -44), (-22, -51), (-16, -64), (-12.5, -82), (-9.5, -105),
        (-8, -140), (-8, -190), (-13, -400),
    ],
    "tibia": [
        (25, 9), (20, 5.5), (8, 5), (3, 0), (-2, -4), (-6, 0), (-10, 6), (-20, 8), (-28, 11.5),
        (-29, 18), (-26, 28), (-22, 42), (-18, 60), (-15, 85), (-13, 130), (-12, 190),
        (-11, 400), (13, 400), (14, 190), (16, 130), (18.5, 85), (21, 64), (26, 52), (29.5, 43),
        (29, 34), (26.5, 24), (27, 16),
    ],
    "fibula": [
        (-25, 16), (-18, 19), (-15.5, 26), (-16.5, 36), (-19, 50), (-20, 80), (-20, 170),
        (-17, 400), (-26, 400), (-30, 170), (-30, 80), (-29, 50), (-31, 36), (-31.5, 26),
    ],
    "patella": [
        (36, -57), (42, -58), (49, -51), (52, -38), (50, -25), (44, -14), (39, -15), (37.5, -24),
        (35, -35), (34, -47),
    ],
    "skin": [
        (-86, -400), (-80, -170), (-74, -110), (-68, -60), (-62, -20), (-59, 10), (-62, 45),
        (-72, 90), (-74, 130), (-64, 190), (-46, 400), (20, 400), (26, 190), (29, 130), (32, 85),
        (38, 55), (42, 38), (48, 15), (56, -8), (62, -28), (62, -48), (60, -70), (64, -110),
        (70, -170), (75, -400),
    ],
}  # fmt: skip

# Functions of y, millimeters: half depth of a part along the beam, thickness of the cortex, and
# how dense the cancellous bone is (the marrow of a shaft holds hardly any).
DEPTH = {
    "femur": ([-140, -105, -75, -50, -25, 0], [15, 16.5, 20, 27, 30, 29]),
    "tibia": ([0, 20, 40, 60, 85, 130], [26, 26, 21, 18, 16, 14]),
    "fibula": ([14, 30, 50, 80], [8, 7.5, 5.2, 5]),
    "patella": ([-60, 0], [7, 7]),
    "skin": ([-170, -60, 0, 60, 130, 190], [68, 60, 53, 52, 56, 50]),
}
CORTEX = {
    "femur": ([-170, -120, -90, -60, -25, 0], [5.2, 4.6, 2.8, 1.0, 0.45, 0.7]),
    "tibia": ([4, 12, 30, 50, 80, 130], [0.9, 0.5, 0.7, 1.8, 3.8, 4.8]),
    "fibula": ([14, 30, 50, 90], [0.5, 0.9, 2.0, 3.0]),
    "patella": ([-60, 0], [0.4, 0.4]),
}
CANCELLOUS = {
    "femur": ([-140, -90, -60, -30, 0], [0.25, 0.5, 0.95, 1.25, 1.4]),
    "tibia": ([0, 8, 22, 45, 75, 120], [1.7, 1.5, 1.15, 0.85, 0.5, 0.25]),
    "fibula": ([14, 40, 70], [1.2, 0.8, 0.3]),
    "patella": ([-60, 0], [0.9, 0.9]),
}
# Height of the growth plates, and of the center from which the epiphysis ossifies.
PHYSIS = {"femur": (-27.0, -11.0), "tibia": (24.0, 14.0), "fibula": (31.0, 22.0)}


@dataclass(frozen=True)
class Growth:
    """State of a skeleton."""

    size: float  # against an adult man
    ossified: float  # share of the epiphyses that is bone already
    open_plate: float  # growth plates: 1 open, 0 closed
    mineral: float  # density against a young adult


def growth_at(age, is_female):
    """Return the skeleton at an age in years."""
    # Distal femoral and proximal tibial growth plates fuse at about 14 to 16 in girls and 16 to 18
    # in boys (J. E. O'Connor et al., J Anat 212 (2008) 198); mineral is lost from about 50 years.
    fusion = 14.8 if is_female else 16.8
    adult = 0.9 if is_female else 1.0
    size = np.interp(age, [4, 8, 12, fusion], [0.56, 0.71, 0.87, 1.0]) * adult
    ossified = np.interp(age, [4, 8, 12, 15], [0.68, 0.84, 0.95, 1.0])
    open_plate = 1.0 / (1.0 + np.exp((age - fusion) / 0.55))
    loss = (0.009 if is_female else 0.005) * max(0.0, age - 48.0)
    young = np.interp(age, [4, 18], [0.80, 1.0])
    return Growth(float(size), float(ossified), float(open_plate), float(young - loss))
