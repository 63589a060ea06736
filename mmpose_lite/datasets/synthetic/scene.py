"""A picture of one to four synthetic people: bodies, camera, light, background, what hides them, and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ..toy_figures import Person, Scene
from .body_model import HEAD, THIGH, TORSO, load_tables
from .clothing import Outfit, colors_at, dress, long_hair, paint, random_color, sample_outfit, skirt
from .poses import bone_turns, sample_pose
from .rasterize import rasterize, vertex_normals

SUPERSAMPLING = 2
NEAR = 0.15
TOLERANCE = np.array([0.04, *[0.045] * 2, *[0.06] * 2, *[0.11] * 2, *[0.075] * 2, *[0.065] * 2,
                      *[0.17] * 2, *[0.105] * 2, *[0.09] * 2, 0.17, 0.12, 0.1, 0.05])  # fmt: skip
"""Metres between each keypoint and the skin before it, for an adult: deeper ones are hidden."""
MIN_PIXELS = 60
BODY, SKIRT, HAIR, SEAT = range(4)


@dataclass
class _Figure:
    """A posed person; the mesh parts are (vertices, faces, kind)."""

    vertices: np.ndarray
    heads: np.ndarray
    keypoints: np.ndarray
    outfit: Outfit
    scale: float
    yaw: float
    meshes: list
    seat_color: np.ndarray


def _turn_z(degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def passes_through_itself(keypoints: np.ndarray, scale: float) -> bool:
    """Whether an elbow or wrist lies inside the trunk or a hand in the other; keypoints (20, 3) in metres."""
    hips, shoulders = keypoints[11:13].mean(0), keypoints[5:7].mean(0)
    axis = shoulders - hips
    along = ((keypoints[7:11] - hips) @ axis / (axis @ axis)).clip(-0.15, 0.95)
    to_axis = np.linalg.norm(keypoints[7:11] - hips - along[:, None] * axis, axis=1)
    return bool((to_axis < 0.105 * scale).any() or np.linalg.norm(keypoints[9] - keypoints[10]) < 0.06 * scale)


def _figure(rng: np.random.Generator, poses: np.ndarray | None) -> _Figure:
    tables = load_tables()
    while True:
        index = rng.integers(len(tables.codes))
        rest, heads = tables.body(index)
        if poses is not None and rng.random() < 0.7:
            angles, posture = poses[rng.integers(len(poses))].copy(), 'fitted'
            angles[0] += rng.normal(0, 25)
        else:
            angles, posture = sample_pose(rng)
        turns = bone_turns(torch.from_numpy(angles)).numpy()
        vertices, heads = tables.pose(rest, heads, turns)
        keypoints = tables.keypoints @ vertices
        trunk = np.linalg.norm(keypoints[5:7].mean(0) - keypoints[11:13].mean(0))
        scale = float(trunk / 0.47)
        if not passes_through_itself(keypoints, scale):
            break
    floor = vertices[:, 2].min() - (rng.uniform(0.05, 0.6) if posture == 'jump' else 0)
    shift = np.array([heads[0, 0], heads[0, 1], floor], np.float32)
    vertices, heads, keypoints = vertices - shift, heads - shift, keypoints - shift
    gender, age = tables.phenotypes[index, :2]
    outfit = sample_outfit(rng, gender > 0.5, age < 0.5)
    dressed, faces = dress(vertices, outfit, tables), tables.faces
    meshes = []
    if outfit.skirt is not None:
        under = tables.leg[faces]
        faces = faces[~((under.min(1) > 0.1) & (under.max(1) < outfit.skirt - 0.12))]
        meshes.append((*skirt(heads, outfit, scale), SKIRT))
    meshes.insert(0, (dressed, faces, BODY))
    if outfit.hair_length and not outfit.bald:
        chosen = np.flatnonzero(tables.part == HEAD)[::12]
        a, b = vertices[chosen] - vertices[chosen].mean(0), tables.template[chosen] - tables.template[chosen].mean(0)
        u, _, vt = np.linalg.svd(a.T @ b)
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        meshes.append(
            (*long_hair(rotation, vertices[chosen].mean(0), outfit, np.linalg.norm(a) / np.linalg.norm(b)), HAIR)
        )
    yaw = float(angles[0])
    if posture == 'sit' and rng.random() < 0.85:
        seat = (tables.part == TORSO) | ((tables.part == THIGH) & (tables.leg < 0.6))
        height = vertices[seat, 2].min() + 0.015
        if height > 0.1:
            x, front, back = rng.uniform(0.2, 0.4), rng.uniform(-0.2, -0.05), rng.uniform(0.15, 0.4)
            meshes.append((*_box(x, front, back, height, _turn_z(yaw)), SEAT))
    return _Figure(dressed, heads, keypoints, outfit, scale, yaw, meshes, random_color(rng))


def _box(x: float, front: float, back: float, height: float, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[s * x, y, z] for z in (0, height) for y in (front, back) for s in (-1, 1)]) @ rotation.T
    sides = [
        (0, 1, 5),
        (0, 5, 4),
        (2, 7, 3),
        (2, 6, 7),
        (0, 4, 6),
        (0, 6, 2),
        (1, 3, 7),
        (1, 7, 5),
        (4, 5, 7),
        (4, 7, 6),
    ]
    return corners.astype(np.float32), np.array(sides)


class _Camera:
    """A pinhole camera that looks at the first person."""

    def __init__(self, rng: np.random.Generator, figures: list[_Figure], size: int):
        first = figures[0]
        extent = np.ptp(first.vertices, axis=0).max()
        near = rng.random() < 0.3
        distance = max(np.exp(rng.uniform(np.log(1.6), np.log(8))), 1.1 * extent)
        height = rng.uniform(0.3, 2.4) if rng.random() < 0.85 else rng.uniform(0.1, 4)
        middle = np.mean([f.vertices.mean(0) for f in figures], axis=0)
        target = 0.6 * middle + 0.4 * first.vertices.mean(0) + rng.normal(0, 0.12, 3) * (1, 0, extent)
        target[2] = first.vertices[:, 2].mean() + rng.normal(0, 0.1) * extent
        if near:
            body = first.keypoints[[0, 0, 0, 0, 5, 6, 11, 12]].mean(0)
            target = body + rng.normal(0, 0.1, 3) * first.scale
        azimuth = np.deg2rad(rng.normal(0, 12))
        self.position = target + np.array([np.sin(azimuth) * distance, -np.cos(azimuth) * distance, 0])
        self.position[2] = target[2] + (height - target[2]) * min(1, distance / 3)
        forward = target - self.position
        depth = np.linalg.norm(forward)
        self.forward = forward / depth
        right = np.cross(self.forward, (0, 0, 1.0))
        right /= np.linalg.norm(right)
        up = np.cross(right, self.forward)
        roll = np.deg2rad(rng.normal(0, 5) if rng.random() < 0.85 else rng.normal(0, 20))
        self.right = right * np.cos(roll) + up * np.sin(roll)
        self.up = up * np.cos(roll) - right * np.sin(roll)
        fill = rng.uniform(1.15, 2.4) if near else rng.uniform(0.45, 1.0) if rng.random() < 0.8 else rng.uniform(1, 1.6)
        self.focal, self.size = fill * (1 if len(figures) == 1 else 0.9) * size * depth / extent, size

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) and depths (N,) of points (N, 3)."""
        offset = points - self.position
        depth = offset @ self.forward
        flat = (
            np.stack([offset @ self.right, -(offset @ self.up)], 1) / np.where(abs(depth) < 1e-6, 1e-6, depth)[:, None]
        )
        return self.size / 2 + self.focal * flat, depth

    def ground(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 3) of the ground seen at pixels (N, 2), and whether there is ground."""
        x, y = (pixels[:, :1] - self.size / 2) / self.focal, (self.size / 2 - pixels[:, 1:]) / self.focal
        rays = self.forward + x * self.right + y * self.up
        seen = rays[:, 2] < -1e-3
        return self.position + rays * (-self.position[2] / np.minimum(rays[:, 2:], -1e-3)), seen


class _Lamp:
    """A distant lamp and the shadows it casts."""

    def __init__(self, rng: np.random.Generator, vertices: np.ndarray, faces: np.ndarray, size: int):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(15, 75))
        level = np.cos(elevation)
        self.direction = np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)])
        across = np.cross(self.direction, (0, 0, 1.0))
        across /= np.linalg.norm(across)
        self.plane = np.stack([across, np.cross(self.direction, across)], 1)
        flat = vertices @ self.plane
        self.origin, self.size = flat.min(0) - 0.02, size
        self.scale = (size - 2) / np.ptp(flat, axis=0).max()
        self.base = (vertices @ self.direction).min() - 1
        depth = vertices @ self.direction - self.base
        _, _, nearest = rasterize((flat - self.origin) * self.scale, depth, faces, size, np.ones(len(faces), bool))
        self.nearest = nearest.reshape(size, size)

    def shadow(self, points: np.ndarray, bias: float = 0.025) -> np.ndarray:
        """How much of each point (N, 3) is in shadow, 0 to 1."""
        at = (points @ self.plane - self.origin) * self.scale
        depth = points @ self.direction - self.base + bias
        inside = ((at >= 0) & (at < self.size - 1)).all(1)
        at, total = np.where(inside[:, None], at, 0), np.zeros(len(points), np.float32)
        for shift in ((-0.6, -0.3), (0.6, -0.6), (0.1, 0.7)):
            x, y = (at + shift).astype(np.int32).clip(0, self.size - 1).T
            total += self.nearest[y, x] > depth
        return total / 3 * inside


def background(rng: np.random.Generator, size: int, pictures: list[Path] | None = None) -> np.ndarray:
    """A part of one of the pictures, else a plain or procedural one: (size, size, 3) BGR from 0 to 1."""
    if pictures:
        path = pictures[rng.integers(len(pictures))]
        image = cv2.imread(str(path))
        if image is None:
            raise ValueError(f'{path}: cannot be read as a picture. Remedy: remove it from the backgrounds')
        side = max(1, int(rng.uniform(0.35, 1) * min(image.shape[:2])))
        y, x = (rng.integers(0, length - side + 1) for length in image.shape[:2])
        image = cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)
        image = image[:, ::-1] if rng.random() < 0.5 else image
        if rng.random() < 0.15:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 4))
        return np.ascontiguousarray(image).astype(np.float32) / 255
    wall, ground = random_color(rng), random_color(rng)
    image = np.tile(wall, (size, size, 1)).astype(np.float32)
    if rng.random() < 0.75:
        horizon = int(rng.uniform(0.3, 0.8) * size)
        image[horizon:] = ground
    for octave in (4, 9, 24, 64):
        cells = rng.normal(0, 1, (octave, octave, 3)) * 0.4 + rng.normal(0, 1, (octave, octave, 1))
        image += cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC) * rng.uniform(0, 0.09)
    for _ in range(rng.integers(0, 14)):
        center, color = rng.uniform(0, size, 2), random_color(rng)
        points = center + rng.normal(0, rng.uniform(0.03, 0.2) * size, (rng.integers(3, 7), 2))
        if rng.random() < 0.5:
            w, h = rng.uniform(0.02, 0.3, 2) * size
            points = center + np.array([(-w, -h), (w, -h), (w, h), (-w, h)])
        cv2.fillConvexPoly(image, cv2.convexHull(points.astype(np.int32)), color.tolist(), cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 3)).clip(0, 1).astype(np.float32)


def _place(rng: np.random.Generator, figures: list[_Figure]) -> None:
    taken = []
    for figure in figures:
        for _ in range(20):
            side = rng.uniform(-0.6, 0.6) * (len(figures) - 1) if taken else 0
            spot = np.array([side, rng.uniform(-0.3, 1.1) if taken else 0, 0], np.float32)
            if all(np.linalg.norm(spot - other) > 0.42 for other in taken):
                break
        taken.append(spot)
        figure.vertices, figure.heads, figure.keypoints = (
            points + spot for points in (figure.vertices, figure.heads, figure.keypoints)
        )
        figure.meshes = [(vertices + spot, faces, kind) for vertices, faces, kind in figure.meshes]


def _surface(figure: _Figure, mesh: tuple, corners: np.ndarray, weights: np.ndarray, camera: _Camera):
    """Positions, normals and colours (N, 3) at points of a mesh given by their triangles and weights (N, 3)."""
    vertices, faces, kind = mesh
    tables, o = load_tables(), figure.outfit

    def at(values: np.ndarray) -> np.ndarray:
        return np.einsum('nk,nk...->n...', weights, values[corners])

    position, normal = at(vertices), at(vertex_normals(vertices, faces))
    if kind == BODY:
        p = at(tables.template)
        colors, cloth = colors_at(o, p, at(tables.arm), at(tables.leg), at(tables.lips), at(tables.eye))
        bump = np.zeros_like(p)
        for k in range(3):
            direction = o.waves[k] / np.linalg.norm(o.waves[k])
            bump += np.cos(p @ (o.waves[k] * 2.2) + o.phase[k] + 1.5 * np.sin(p @ o.waves[k + 4]))[:, None] * direction
        normal = normal + np.where(cloth, o.folds * 0.35, 0.03)[:, None] * bump
    else:
        local = (position - figure.heads[0]) @ _turn_z(figure.yaw)
        if kind == SKIRT:
            colors = paint(o.bottom, local, np.full(len(local), -1.0))
        elif kind == HAIR:
            strands = (
                1 + 0.2 * np.sin(local[:, 0] * 190 + 4 * np.sin(local[:, 1] * 40)) + 0.1 * np.sin(local[:, 1] * 260)
            )
            colors = o.hair * strands[:, None]
        else:
            colors = np.tile(figure.seat_color, (len(local), 1))
        normal[(normal * (camera.position - position)).sum(1) < 0] *= -1
    return position, normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9), colors


def _occluder(rng: np.random.Generator, size: int) -> np.ndarray:
    mask, (x, y) = np.zeros((size, size), np.uint8), rng.uniform(0, size, 2)
    kind = rng.random()
    if kind < 0.4:
        w, h = rng.uniform(0.05, 0.3, 2) * size
        y = size - h if rng.random() < 0.5 else y
        cv2.rectangle(mask, (int(x), int(y)), (int(x + w), int(y + h + 2)), 1, -1)
    elif kind < 0.7:
        points = np.array([x, y]) + rng.normal(0, 0.11 * size, (rng.integers(4, 8), 2))
        cv2.fillPoly(mask, [cv2.convexHull(points.astype(np.int32))], 1)
    else:
        cv2.line(mask, (int(x), 0), (int(rng.uniform(0, size)), size), 1, max(1, int(rng.uniform(0.012, 0.05) * size)))
    return mask


def _develop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blur, colour cast, contrast and noise of a camera; BGR from 0 to 1 to uint8."""
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.1))
    if rng.random() < 0.08:  # motion
        kernel = np.zeros((9, 9), np.float32)
        cv2.line(kernel, (0, int(rng.integers(9))), (8, int(rng.integers(9))), 1.0, 1)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    image = (image * rng.normal(1, 0.04, 3) - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + rng.uniform(-0.08, 0.08)
    size = image.shape[:2]
    image = image + rng.normal(0, rng.uniform(0, 0.03), (*size, 1)) + rng.normal(0, rng.uniform(0, 0.015), (*size, 3))
    return (image * 255).clip(0, 255).astype(np.uint8)


def draw_scene(
    rng: np.random.Generator, size: int, hidden_share: float = 1.0,
    pictures: list[Path] | None = None, poses: np.ndarray | None = None,
) -> Scene:  # fmt: skip
    """Draw a picture of one to four people.

    Args:
        rng: The source of everything random.
        size: Width and height in pixels.
        hidden_share: Share of the hidden keypoints that is labelled (visibility 1).
        pictures: Files to take backgrounds from.
        poses: (N, 32) poses to draw 7 in 10 people in.
    """
    tables, wide = load_tables(), size * SUPERSAMPLING
    figures = [_figure(rng, poses) for _ in range(rng.choice(4, p=(0.4, 0.33, 0.2, 0.07)) + 1)]
    _place(rng, figures)
    camera = _Camera(rng, figures, wide)
    parts = [(i, mesh) for i, figure in enumerate(figures) for mesh in figure.meshes]
    starts = np.cumsum([0, *(len(mesh[0]) for _, mesh in parts)])
    vertices = np.concatenate([mesh[0] for _, mesh in parts])
    faces = np.concatenate([mesh[1] + start for (_, mesh), start in zip(parts, starts[:-1], strict=True)])
    part_of = np.repeat(np.arange(len(parts)), [len(mesh[1]) for _, mesh in parts])
    kinds = np.array([mesh[2] for _, mesh in parts])
    owners = np.array([i for i, _ in parts])

    points, depth = camera.project(vertices)
    flipped = faces[:, ::-1]  # y points down in the picture
    nearness = np.where(depth > NEAR, 1 / np.maximum(depth, NEAR), 0)
    winner, weights, near = rasterize(points, nearness, flipped, wide, (kinds != BODY)[part_of])
    covered = np.flatnonzero(winner >= 0)
    lamp = _Lamp(rng, vertices, faces, int(0.6 * wide))
    scenery = background(rng, size, pictures)
    tint = scenery.mean((0, 1))
    tint, level = 0.75 + 0.25 * tint / (tint.mean() + 1e-3), np.clip(scenery.mean() * 0.9 + 0.6, 0.65, 1.25)
    key, fill, ambient = rng.uniform(0.25, 1.0), rng.uniform(0, 0.3), rng.uniform(0.5, 0.85)
    second = rng.normal(0, 1, 3)
    second[2] = abs(second[2])
    second /= np.linalg.norm(second)
    half = lamp.direction - camera.forward
    half /= np.linalg.norm(half)
    canvas = np.zeros((wide * wide, 3), np.float32)
    part_at = part_of[winner[covered]]
    for part, (owner, mesh) in enumerate(parts):
        here = covered[part_at == part]
        if not len(here):
            continue
        corners = flipped[winner[here]] - starts[part]
        position, normal, colors = _surface(figures[owner], mesh, corners, weights[here], camera)
        lit = 1 - 0.9 * lamp.shadow(position)
        light = ambient * (0.72 + 0.28 * normal[:, 2]) + key * lit * ((normal @ lamp.direction + 0.15) / 1.15).clip(
            0, 1
        )
        light += fill * (normal @ second).clip(0, 1)
        gloss = 0.1 * key * lit * (normal @ half).clip(0, 1) ** 20 * (1 if mesh[2] in (BODY, HAIR) else 0.3)
        canvas[here] = colors * light[:, None] * tint * level + gloss[:, None]

    image = cv2.resize(canvas.reshape(wide, wide, 3), (size, size), interpolation=cv2.INTER_AREA)
    mask = (winner >= 0).astype(np.float32).reshape(wide, wide)
    alpha = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)[..., None]
    if rng.random() < 0.8:
        grid = np.stack(np.meshgrid(*[np.arange(0, size, 2)] * 2), -1).reshape(-1, 2) * SUPERSAMPLING + 1.0
        ground, seen = camera.ground(grid)
        dark = (lamp.shadow(ground, 0.01) * seen).astype(np.float32).reshape(-1, len(range(0, size, 2)))
        dark = cv2.GaussianBlur(cv2.resize(dark, (size, size)), (0, 0), rng.uniform(0.8, 3)) * rng.uniform(0.2, 0.6)
        scenery = scenery * (1 - dark[..., None])
    image = scenery * (1 - alpha) + image

    owner = np.where(winner >= 0, owners[part_of[winner]], -1)
    owner[(winner >= 0) & (kinds[part_of[winner]] == SEAT)] = -2
    owner, near = owner.reshape(wide, wide), near.reshape(wide, wide)
    if rng.random() < 0.3:
        mask = _occluder(rng, wide)
        cover = background(rng, size, pictures) if rng.random() < 0.6 else random_color(rng)
        alpha = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)[..., None]
        image = image * (1 - alpha) + cover * alpha
        near[mask > 0], owner[mask > 0] = np.inf, -2
    people = [_label(rng, i, figure, camera, owner, near, hidden_share, tables) for i, figure in enumerate(figures)]
    return Scene(_develop(rng, image), [person for person in people if person is not None])


def _label(
    rng, index: int, figure: _Figure, camera: _Camera, owner, near, hidden_share: float, tables
) -> Person | None:
    """COCO's 17 keypoints and MPII's four, or None for someone of whom next to nothing is seen."""
    ys, xs = np.nonzero(owner == index)
    if len(xs) < MIN_PIXELS * SUPERSAMPLING**2:
        return None
    points = np.insert(figure.keypoints, 17, figure.keypoints[11:13].mean(0), axis=0)  # pelvis
    pixels, depth = camera.project(points)
    o, visibility = figure.outfit, np.zeros(21, int)
    tolerance = TOLERANCE * max(figure.scale, 0.45)
    tolerance[5:11] += 1.3 * o.loose_top
    tolerance[11:17] += 1.6 * o.loose_bottom + (0.08 if o.skirt is not None else 0)
    for k, ((x, y), z) in enumerate(zip(pixels, depth, strict=True)):
        if not (0 <= x < camera.size and 0 <= y < camera.size) or z < NEAR:
            continue
        row, column = int(y), int(x)
        hidden = near[row, column] * (z - tolerance[k]) > 1
        # annotators leave out the side of a face turned away, and most of what they cannot see
        if hidden and ((k < 5 and owner[row, column] == index) or (k < 17 and rng.random() >= hidden_share)):
            continue
        visibility[k] = 1 if hidden else 2
    box = np.array([xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]) / SUPERSAMPLING
    head, _ = camera.project(figure.vertices[tables.part == HEAD])
    head_box = np.stack([head.min(0), head.max(0)]) / SUPERSAMPLING - 0.5
    behind = visibility[0] == 0 and visibility[[3, 4]].any()
    # pixel centres are whole numbers in annotations
    return Person(pixels / SUPERSAMPLING - 0.5, visibility, box, head_box, len(xs) / SUPERSAMPLING**2, bool(behind))
