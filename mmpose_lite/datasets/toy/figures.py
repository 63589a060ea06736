"""Pictures of cartoon people with exact keypoints.

A person is posed as a small 3D skeleton, turned about the vertical axis and projected, so limbs
foreshorten and hide each other as they do in photographs. People facing the camera have a face and
a buttoned shirt and carry their left limbs on the right of the picture; people seen from behind
show hair only and carry them on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .poses import STATURE, Figure, sample_figure

COCO_KEYPOINTS = (
    *('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder'),
    *('left_elbow', 'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip'),
    *('left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
)
KEYPOINTS = (*COCO_KEYPOINTS, 'pelvis', 'thorax', 'upper_neck', 'head_top')
"""Rows of ``Person.keypoints``: COCO's 17 followed by the four that only MPII has."""

# Body parts as they are written into the label channel, and the parts each keypoint lies on.
PARTS = ('head', 'torso', *(f'{s}_{p}' for s in ('left', 'right') for p in
                            ('upper_arm', 'forearm', 'thigh', 'shin')))  # fmt: skip
PARTS_AT = {'shoulder': ('torso', 'upper_arm'), 'elbow': ('upper_arm', 'forearm'),
            'wrist': ('forearm',), 'hip': ('torso', 'thigh'), 'knee': ('thigh', 'shin', 'torso'),
            'ankle': ('shin',), 'pelvis': ('torso',), 'thorax': ('torso', 'head')}  # fmt: skip
OBJECT_LABEL = 255
FACE = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')

# Colours are BGR.
SKINS = np.array([(190, 215, 250), (150, 185, 235), (110, 150, 205), (70, 105, 160), (45, 65, 105)])
HAIRS = np.array([(25, 22, 22), (35, 50, 80), (55, 85, 130), (110, 170, 215), (150, 150, 155),
                  (40, 70, 150)])  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One drawn person.

    Args:
        keypoints: (21, 2) x, y in pixels, pixel centres at whole numbers, in ``KEYPOINTS`` order;
            given for keypoints outside the picture too.
        visibility: (21,) 2 visible, 1 hidden by something in the picture, 0 outside the picture.
        bbox: (4,) x, y, width, height in pixels of the drawn figure, cut at the picture's edge.
        head_box: (2, 2) top left and bottom right corner of the head in pixels, not cut.
        area: visible pixels.
        from_behind: whether the person turns their back to the camera.
    """

    keypoints: np.ndarray
    visibility: np.ndarray
    bbox: np.ndarray
    head_box: np.ndarray
    area: float
    from_behind: bool


@dataclass(frozen=True)
class Scene:
    """A picture, (height, width, 3) uint8 BGR, and the people in it."""

    image: np.ndarray
    people: list[Person]


class Canvas:
    """A picture at twice its size whose fourth channel says which part owns each pixel.

    Drawing without smoothing at twice the size keeps that channel exact; reducing by two then
    smooths the edges.
    """

    circle = np.stack([f(np.arange(16) * np.pi / 8) for f in (np.cos, np.sin)], axis=1)

    def __init__(self, background: np.ndarray) -> None:
        height, width = background.shape[:2]
        self.pixels = np.zeros((2 * height, 2 * width, 4), np.uint8)
        self.pixels[..., :3] = cv2.resize(background, (2 * width, 2 * height))

    def blob(self, points: np.ndarray, radii: Sequence[float], color: np.ndarray, label: int):
        """Fills the hull of circles at (N, 2) ``points``; returns its (M, 2) outline, in pixels."""
        circles = points[:, None] + np.reshape(radii, (-1, 1, 1)) * self.circle
        hull = cv2.convexHull(circles.reshape(-1, 2).astype(np.float32))
        # Pixel x spans 2x and 2x + 1 here, hence the half; four fractional bits.
        fixed = np.round((2 * hull + 0.5) * 16).astype(np.int32)
        cv2.fillConvexPoly(self.pixels, fixed, (*np.clip(color, 0, 255).tolist(), label), shift=4)
        return hull[:, 0]

    def solid(self, points: np.ndarray, radii: Sequence[float], color: np.ndarray, label: int):
        """A blob with a darker rim, so that limbs look round and stand out from each other."""
        outline = self.blob(points, radii, 0.78 * color, label)
        self.blob(points, 0.68 * np.asarray(radii), color, label)
        return outline


def _color(rng: np.random.Generator, max_saturation: int = 210) -> np.ndarray:
    """A random colour, (3,) BGR."""
    hsv = [rng.integers(180), rng.integers(10, max_saturation), rng.integers(60, 245)]
    hsv = np.array([[hsv]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def draw_person(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Draws a figure; returns the outlines of all of it and of its head, (N, 2) in pixels."""
    unit, origin = figure.unit, figure.origin
    at = {name: origin + unit * point[:2] for name, point in figure.points.items()}
    near = {name: point[2] for name, point in figure.points.items()}
    label = {part: figure.first_label + i for i, part in enumerate(PARTS)}
    faces_camera = figure.faces_camera
    weight = unit * np.sqrt(figure.build)

    skin = SKINS[rng.integers(len(SKINS))] * rng.uniform(0.92, 1.05)
    hair = HAIRS[rng.integers(len(HAIRS))] * rng.uniform(0.9, 1.1)
    shirt, trousers, shoes = _color(rng), _color(rng), _color(rng) * 0.6
    long_sleeves, bare_shins, wears_skirt, long_hair = rng.random(4) < (0.5, 0.3, 0.15, 0.35)
    wears_skirt &= not figure.sits
    outline: list[np.ndarray] = []
    head_outline: list[np.ndarray] = []

    def solid(names, radii, color, part):
        points = np.stack([at[name] for name in names])
        outline.append(canvas.solid(points, np.multiply(radii, weight), color, label[part]))

    def dots(names, radius, color):
        for name in names:
            canvas.blob(at[name][None], [max(radius * unit, 0.5)], color, label['head'])

    def skirt():
        for side in ('left', 'right'):
            at[f'{side}_hem'] = 0.35 * at[f'{side}_hip'] + 0.65 * at[f'{side}_knee']
        solid(('left_hip', 'right_hip', 'left_hem', 'right_hem'), (0.34, 0.34, 0.4, 0.4), trousers, 'torso')

    def torso():
        hips, shoulders = ('left_hip', 'right_hip'), ('left_shoulder', 'right_shoulder')
        solid(hips, (0.36, 0.36), trousers, 'torso')
        at['waist'] = 0.7 * at['pelvis'] + 0.3 * at['thorax']
        solid((*shoulders, 'waist'), (0.25, 0.25, 0.5), shirt, 'torso')
        solid((*shoulders, 'left_hip', 'right_hip'), (0.25, 0.25, 0.28, 0.28), shirt, 'torso')
        if faces_camera:
            # Collar and buttons run down the front, which yaw turns aside.
            front = np.array([0.4 * unit * np.sin(figure.yaw), 0.0])
            axis = at['pelvis'] - at['thorax']
            throat = at['thorax'] + 0.3 * front
            collar = throat + weight * np.array([[-0.2, 0.0], [0.2, 0.0], [0.0, 0.0]])
            collar[2] += 0.16 * axis + 0.5 * front
            canvas.blob(collar, [0.04 * unit] * 3, skin, label['torso'])
            button = 255 - shirt if abs(shirt.mean() - 128) > 40 else 0.4 * shirt
            for along in (0.3, 0.47, 0.64, 0.81):
                point = (at['thorax'] + along * axis + front)[None]
                canvas.blob(point, [0.055 * unit], button, label['torso'])

    def limb(side, name, start, end, radii, color):
        # The far side of a turned body lies in its shade.
        shade = np.clip(1 + 0.25 * (near[f'{side}_hip'] - near['pelvis']) / 0.42, 0.75, 1.08)
        solid((f'{side}_{start}', f'{side}_{end}'), radii, shade * color, f'{side}_{name}')

    def upper_arm(side):
        color = shirt if long_sleeves else skin
        limb(side, 'upper_arm', 'shoulder', 'elbow', (0.24, 0.18), color)
        if not long_sleeves:
            at[f'{side}_cuff'] = 0.5 * at[f'{side}_shoulder'] + 0.5 * at[f'{side}_elbow']
            limb(side, 'upper_arm', 'shoulder', 'cuff', (0.26, 0.23), shirt)

    def forearm(side):
        limb(side, 'forearm', 'wrist', 'hand', (0.12, 0.16), skin)
        limb(side, 'forearm', 'elbow', 'wrist', (0.18, 0.14), shirt if long_sleeves else skin)

    def thigh(side):
        limb(side, 'thigh', 'hip', 'knee', (0.36, 0.25), skin if wears_skirt else trousers)

    def shin(side):
        color = skin if bare_shins or wears_skirt else trousers
        limb(side, 'shin', 'heel', 'toe', (0.17, 0.13), shoes)
        limb(side, 'shin', 'knee', 'ankle', (0.25, 0.16), color)

    def head():
        def mane():
            at['ends'] = at['thorax'] + 0.3 * (at['pelvis'] - at['thorax']) * (not faces_camera)
            solid(('skull', 'nape', 'ends'), (0.44, 0.42, 0.3), 0.85 * hair, 'head')

        if long_hair and faces_camera:
            mane()
        solid(('thorax', 'jaw'), (0.19, 0.19), 0.9 * skin, 'head')
        dots([ear for ear in FACE[3:] if near[ear] > near['skull'] - 0.15], 0.1, 0.9 * skin)
        points = np.stack([at['skull'], at['jaw']])
        whole = canvas.solid(points, (0.45 * unit, 0.34 * unit), skin, label['head'])
        head_outline.append(whole)
        outline.append(whole)
        dots(('skull',) if faces_camera else ('skull', 'occiput'), 0.45, hair)
        if faces_camera:
            points = np.stack([at['brow'], at['chin']])
            canvas.blob(points, (0.33 * unit, 0.27 * unit), skin, label['head'])
            dots(('left_eye', 'right_eye'), 0.085, np.full(3, 235.0))
            dots(('left_eye', 'right_eye'), 0.06, np.full(3, 30.0))
            dots(('nose',), 0.06, 0.7 * skin)
            lips = at['mouth'] + unit * np.array([[-0.09, 0.0], [0.09, 0.0]])
            canvas.blob(lips, [0.035 * unit] * 2, skin * (0.5, 0.45, 0.8), label['head'])
        elif long_hair:
            mane()

    # Nearer parts are drawn later. Arms lie over the torso and legs under it when equally near.
    queue = [(near['thorax'] / 2, torso, ()), (near['jaw'] + 0.05, head, ())]
    under = 0.1 if figure.sits else 0.8
    for side in ('left', 'right'):
        for draw, start, end, bias in (
            (upper_arm, 'shoulder', 'elbow', 0.1),
            (forearm, 'elbow', 'wrist', 0.12),
            (thigh, 'hip', 'knee', -under),
            (shin, 'knee', 'ankle', -under - 0.05),
        ):
            middle = (near[f'{side}_{start}'] + near[f'{side}_{end}']) / 2
            queue.append((middle + bias, draw, (side,)))
    if wears_skirt:
        queue.append((max(near['left_knee'], near['right_knee']) / 2 + 0.3 - under, skirt, ()))
    if figure.sits:
        seat = origin + unit * np.array([[-0.6, 0.3], [0.6, 0.3], [-0.5, 1.6], [0.5, 1.6]])
        canvas.solid(seat, [0.1 * unit] * 4, _color(rng), 0)
    for _, draw, args in sorted(queue, key=lambda item: item[0]):
        draw(*args)
    return np.concatenate(outline), np.concatenate(head_outline)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Wall or sky over a floor, with texture, stripes and clutter; (height, width, 3) uint8."""
    width, height = size
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = _color(rng, 100) * (1 - rows) + _color(rng, 100) * rows
    picture = np.repeat(picture, width, axis=1).astype(np.float32)
    horizon = int(height * rng.uniform(0.5, 0.95))
    picture[horizon:] = _color(rng, 100)
    for cell in (rng.uniform(30, 80), rng.uniform(3, 10)):
        grid = (int(height / cell) + 2, int(width / cell) + 2, 3)
        noise = rng.normal(0, rng.uniform(3, 16), grid).astype(np.float32)
        picture += cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        angle, period = rng.uniform(0, np.pi), rng.uniform(8, 40)
        region = picture[horizon:] if rng.random() < 0.5 else picture[:horizon]
        ys, xs = np.ogrid[: region.shape[0], : region.shape[1]]
        wave = np.sin((xs * np.cos(angle) + ys * np.sin(angle)) * (2 * np.pi / period))
        region += rng.uniform(5, 25) * wave[..., None].astype(np.float32)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 8)):
        center = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        half = (int(rng.uniform(4, width / 6)), int(rng.uniform(4, height / 6)))
        color = _color(rng, 160).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(picture, center, half, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
        else:
            corner = (center[0] + half[0], center[1] + half[1])
            cv2.rectangle(picture, center, corner, color, -1)
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.6, 2.5))
    return picture


def _draw_obstacle(canvas: Canvas, rng: np.random.Generator, outline: np.ndarray) -> None:
    """Draws a box, a bush or a post in front of part of a person with this (N, 2) outline."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    extent = high - low
    center = low + rng.uniform([0.0, 0.45], [1.0, 1.0]) * extent
    half = rng.uniform(0.08, 0.17) * extent.max() * np.ones(2)
    kind, color = rng.integers(3), _color(rng)
    if kind == 2:
        center[1], half = high[1], extent.max() * np.array([0.03, rng.uniform(0.3, 0.7)])
    if kind == 1:
        points = center + rng.normal(0, 0.6, (7, 2)) * half
        for point in points:
            canvas.solid(point[None], [0.5 * half[0]], color, OBJECT_LABEL)
    else:
        corners = center + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        canvas.solid(corners, [1.0] * 4, color, OBJECT_LABEL)


def _place(
    rng: np.random.Generator, figure: Figure, size: np.ndarray, alone: bool, boxes: list[np.ndarray]
) -> Figure | None:
    """Chooses a scale and a position that leave the people at ``boxes`` mostly uncovered."""
    points = np.stack([point[:2] for point in figure.points.values()])
    low, high = points.min(axis=0) - 0.4, points.max(axis=0) + 0.3
    for _ in range(20):
        unit = rng.uniform(0.4 if alone else 0.33, 0.95 if alone else 0.75) * size[1] / STATURE
        unit = min(unit, 0.96 * np.min(size / (high - low)))
        extent = unit * (high - low)
        corner = rng.uniform(0, size - extent)
        if rng.random() < 0.12:
            corner[1] = size[1] - extent[1] * rng.uniform(0.78, 0.95)
        elif boxes and rng.random() < 0.1:
            cut = extent[0] * rng.uniform(0.05, 0.3)
            corner[0] = -cut if rng.random() < 0.5 else size[0] - extent[0] + cut
        box = np.stack([corner, corner + extent])
        shared = [np.minimum(box[1], other[1]) - np.maximum(box[0], other[0]) for other in boxes]
        smaller = [min(np.prod(extent), np.prod(other[1] - other[0])) for other in boxes]
        if all(np.prod(np.clip(a, 0, None)) < 0.25 * b for a, b in zip(shared, smaller, strict=True)):
            boxes.append(box)
            return replace(figure, unit=unit, origin=corner - unit * low)
    return None


def annotate(canvas: Canvas, figure: Figure, outline: np.ndarray, head_outline: np.ndarray) -> Person:
    """Reads a person's visibility off the finished canvas."""
    owner, first_label = canvas.pixels[..., 3], figure.first_label
    size = np.array([owner.shape[1] // 2, owner.shape[0] // 2])
    keypoints = np.stack([figure.points[name][:2] for name in KEYPOINTS])
    keypoints = figure.origin + figure.unit * keypoints
    visibility = np.zeros(len(KEYPOINTS), np.int64)
    for i, name in enumerate(KEYPOINTS):
        if np.any(keypoints[i] < 0) or np.any(keypoints[i] > size - 1):
            continue
        side, _, joint = name.rpartition('_')
        parts = PARTS_AT.get(joint, ('head',))
        shown = {p if p in PARTS else f'{side}_{p}' for p in parts}
        x, y = np.round(2 * keypoints[i] + 0.5).astype(int)
        visible = owner[y, x] in {first_label + PARTS.index(part) for part in shown}
        if name in FACE:
            turned_here = figure.points[name][2] > figure.points['skull'][2] - 0.15
            visible &= turned_here and (figure.faces_camera or joint == 'ear')
        visibility[i] = 2 if visible else 1
    low, high = np.clip([outline.min(axis=0), outline.max(axis=0)], 0, size - 1)
    mine = (owner >= first_label) & (owner < first_label + len(PARTS))
    return Person(
        keypoints=keypoints,
        visibility=visibility,
        bbox=np.concatenate([low, high - low]),
        head_box=np.stack([head_outline.min(axis=0), head_outline.max(axis=0)]),
        area=np.count_nonzero(mine) / 4,
        from_behind=not figure.faces_camera,
    )


def draw_scene(rng: np.random.Generator, size: tuple[int, int], num_people: int) -> Scene:
    """Draws one picture.

    Args:
        rng: Source of all randomness.
        size: Width and height in pixels.
        num_people: How many people to draw; a full picture may get fewer, never none.
    """
    canvas = Canvas(draw_background(rng, size))
    boxes: list[np.ndarray] = []
    candidates = [_place(rng, sample_figure(rng), np.array(size), num_people == 1, boxes) for _ in range(num_people)]
    # Larger people stand nearer.
    figures = sorted((f for f in candidates if f), key=lambda figure: figure.unit)
    figures = [replace(f, first_label=1 + i * len(PARTS)) for i, f in enumerate(figures)]
    outlines = [draw_person(canvas, rng, figure) for figure in figures]
    if rng.random() < 0.25:
        _draw_obstacle(canvas, rng, outlines[rng.integers(len(outlines))][0])
    people = [annotate(canvas, *item) for item in zip(figures, *zip(*outlines, strict=True), strict=True)]

    image = cv2.resize(canvas.pixels[..., :3], size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.4, 0.8))
    noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 7))
    gain, offset = rng.uniform(0.8, 1.15), rng.uniform(-15, 15)
    image = np.clip(image * np.float32(gain) + np.float32(offset) + noise, 0, 255)
    return Scene(image.astype(np.uint8), people)
