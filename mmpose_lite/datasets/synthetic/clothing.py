"""What people wear: skin, hair, clothes, shoes, hats, glasses; drawn in coordinates of the body at rest.

Hems, sleeves, hairlines and patterns are functions of the position on the body at rest and of the coordinates along
arms and legs, evaluated at every pixel, so that they are sharp whatever the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .body_model import DRIVEN, FOOT, HEAD, TORSO, Tables
from .rasterize import vertex_normals

SKIN = np.array(
    [(238, 210, 190), (225, 190, 165), (212, 170, 140), (198, 150, 120),
     (180, 128, 95), (150, 100, 70), (120, 78, 55), (88, 55, 40)]
)[:, ::-1] / 255  # fmt: skip
HAIR = np.array(
    [(20, 18, 18), (42, 32, 28), (70, 45, 30), (110, 70, 45), (175, 130, 85),
     (185, 170, 150), (120, 60, 60), (120, 120, 120), (205, 200, 200)]
)[:, ::-1] / 255  # fmt: skip
HAIR_SHARES = (0.24, 0.22, 0.18, 0.1, 0.09, 0.04, 0.05, 0.05, 0.03)
PATTERNS = {
    'plain': 0.5,
    'stripes': 0.12,
    'pinstripes': 0.06,
    'checks': 0.08,
    'print': 0.08,
    'logo': 0.12,
    'yoke': 0.04,
}


@dataclass
class Fabric:
    """A pattern of three colours (3, 3) in BGR from 0 to 1."""

    pattern: str
    colors: np.ndarray
    frequency: float
    duty: float
    phase: np.ndarray
    waves: np.ndarray


@dataclass
class Outfit:
    """One person's looks; lengths of sleeves and legs in the limbs' coordinates, thickness in metres."""

    skin: np.ndarray
    hair: np.ndarray
    hair_length: float
    hair_thickness: float
    bald: bool
    hat: np.ndarray | None
    beard: bool
    glasses: bool
    top: Fabric | None
    bottom: Fabric
    sleeve: float
    trousers: float
    skirt: float | None
    hem: float
    waist: float
    collar: float
    jacket: np.ndarray | None
    loose_top: float
    loose_bottom: float
    shoes: np.ndarray | None
    socks: np.ndarray | None
    waves: np.ndarray
    phase: np.ndarray
    folds: float


def random_color(rng: np.random.Generator) -> np.ndarray:
    """A colour as clothes have them, (3,) BGR from 0 to 1: half of them muted."""
    saturation = rng.uniform(20, 190) * (rng.random() < 0.6)
    value = rng.uniform(*((18, 60), (60, 170), (170, 250))[rng.choice(3, p=(0.25, 0.4, 0.35))])
    return cv2.cvtColor(np.uint8([[[rng.uniform(0, 180), saturation, value]]]), cv2.COLOR_HSV2BGR)[0, 0] / 255


def _fabric(rng: np.random.Generator, plain: float) -> Fabric:
    shares = np.array(list(PATTERNS.values()))
    pattern = 'plain' if rng.random() < plain else list(PATTERNS)[rng.choice(len(PATTERNS), p=shares / shares.sum())]
    colors = np.stack([random_color(rng) for _ in range(3)])
    return Fabric(
        pattern, colors, rng.uniform(18, 90), rng.uniform(0.3, 0.7), rng.uniform(0, 6, 4), rng.normal(0, 1, (4, 3))
    )


def sample_outfit(rng: np.random.Generator, female: bool, child: bool) -> Outfit:
    """Draw an outfit."""
    tone = rng.beta(1.1, 1.6) * 7
    skin = SKIN[int(tone)] * (1 - tone % 1) + SKIN[min(7, int(tone) + 1)] * (tone % 1)
    hat = random_color(rng) if rng.random() < 0.14 else None
    bare = not female and rng.random() < 0.04
    sleeve = rng.choice((-0.02, 0.45, 0.7, 1.35, 1.93), p=(0.13, 0.3, 0.17, 0.07, 0.33)) + rng.uniform(-0.06, 0.03)
    trousers = rng.choice((0.28, 0.62, 0.95, 1.5, 1.93), p=(0.04, 0.14, 0.16, 0.08, 0.58)) + rng.uniform(-0.06, 0.03)
    skirt = rng.choice((0.55, 0.85, 1.4)) + rng.uniform(-0.1, 0.1) if female and rng.random() < 0.28 else None
    top, bottom = _fabric(rng, 0.2), _fabric(rng, 0.7)
    if rng.random() < 0.35:
        bottom.colors[0] = rng.uniform((60, 40, 25), (130, 80, 60)) / 255 * rng.uniform(0.6, 1.3)  # jeans
    if skirt is not None and rng.random() < 0.6:
        bottom = top  # a dress
    return Outfit(
        skin=skin * rng.uniform(0.92, 1.06),
        hair=HAIR[rng.choice(len(HAIR), p=HAIR_SHARES)] * rng.uniform(0.8, 1.2),
        hair_length=rng.uniform(0.12, 0.4) if rng.random() < (0.62 if female else 0.06) else 0.0,
        hair_thickness=rng.uniform(0.012, 0.035) if female else rng.uniform(0.003, 0.022),
        bald=not female and not child and hat is None and rng.random() < 0.14,
        hat=hat,
        beard=not female and not child and rng.random() < 0.3,
        glasses=rng.random() < 0.15,
        top=None if bare else top,
        bottom=bottom,
        sleeve=sleeve,
        trousers=trousers,
        skirt=skirt,
        hem=rng.uniform(-0.1, 0.06),
        waist=rng.uniform(0.03, 0.12),
        collar=rng.uniform(0.43, 0.515),
        jacket=random_color(rng) if sleeve > 1.5 and rng.random() < 0.35 else None,
        loose_top=rng.uniform(0.004, 0.022) * (1 + (sleeve > 1.5) * rng.random()),
        loose_bottom=rng.uniform(0.003, 0.018) * (1 + (trousers > 0.5) * rng.random()),
        shoes=None if rng.random() < 0.1 else random_color(rng),
        socks=random_color(rng) if rng.random() < 0.35 else None,
        waves=rng.normal(0, 1, (8, 3)) * (14, 10, 9),
        phase=rng.uniform(0, 6.28, 8),
        folds=rng.uniform(0.15, 0.7),
    )


def _hair_here(p: np.ndarray, jag: np.ndarray | float = 0.0) -> np.ndarray:
    """Whether points (N, 3) of the head at rest are under hair; the template is of an average adult."""
    line = np.interp(
        p[:, 1], (-0.15, -0.09, -0.055, -0.03, -0.005, 0.03, 0.06), (0.716, 0.70, 0.672, 0.655, 0.60, 0.575, 0.56)
    )
    ear = (abs(p[:, 0]) > 0.068) & (p[:, 1] < 0.012) & (p[:, 1] > -0.06) & (p[:, 2] < 0.672)
    return (p[:, 2] > line + jag) & ~ear


def _in_top(o: Outfit, p: np.ndarray, arm: np.ndarray, leg: np.ndarray) -> np.ndarray:
    x = abs(p[:, 0])
    if o.top is None:
        return np.zeros(len(p), bool)
    collar = p[:, 2] < o.collar + 0.25 * x + np.where(p[:, 1] < 0, 0, 0.015)
    on_arm = arm > 0
    shoulder = (x < 0.135) | (p[:, 2] < 0.36) if o.sleeve < 0.05 else True
    return np.where(on_arm, arm < o.sleeve, collar & shoulder & (p[:, 2] > o.hem) & (leg < 0.2))


def _in_bottom(o: Outfit, p: np.ndarray, arm: np.ndarray, leg: np.ndarray) -> np.ndarray:
    return (p[:, 2] < o.waist) & (arm <= 0) & (leg < (o.trousers if o.skirt is None else 0.3))


def _smooth(vertices: np.ndarray, chosen: np.ndarray, tables: Tables, times: int) -> None:
    index = np.flatnonzero(chosen)
    for _ in range(times):
        vertices[index] = 0.4 * vertices[index] + 0.6 * vertices[tables.neighbours[index]].mean(axis=1)


def dress(vertices: np.ndarray, o: Outfit, tables: Tables) -> np.ndarray:
    """Posed vertices (V, 3) with clothes and hair over the body."""
    p, arm, leg, part = tables.template, tables.arm, tables.leg, tables.part
    vertices, normals = vertices.copy(), vertex_normals(vertices, tables.faces)
    body = part >= TORSO
    top, bottom = body & _in_top(o, p, arm, leg), body & _in_bottom(o, p, arm, leg)
    offset = np.zeros(len(p), np.float32)
    offset[bottom] = o.loose_bottom * (0.5 + leg[bottom].clip(0, 1.2)).clip(0.5, 1.6)
    offset[top] = np.maximum(offset[top], o.loose_top)
    hair = (part == HEAD) & _hair_here(p)
    if o.hat is not None:
        offset[hair] = 0.018
    elif not o.bald:
        lumps = 1 + 0.25 * np.sin(p[hair] @ o.waves[:3].T * 4 + o.phase[:3]).sum(axis=1)
        offset[hair] = o.hair_thickness * lumps * ((p[hair, 2] - 0.53) * 9).clip(0.25, 1.2)
    shoes = (part == FOOT) & (o.shoes is not None)
    offset[shoes] = 0.009
    _smooth(vertices, top | bottom, tables, 2)
    vertices += normals * offset[:, None]
    _smooth(vertices, top | bottom, tables, 3)
    _smooth(vertices, shoes, tables, 7)
    _smooth(vertices, hair & (not o.bald), tables, 2)
    return vertices


def _sheet(rings: np.ndarray, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mesh over rings (K, N, 3)."""
    k, n = rings.shape[:2]
    start = np.arange(k - 1)[:, None] * n
    a = start + np.arange(n if closed else n - 1)
    b = start + (np.arange(n if closed else n - 1) + 1) % n
    faces = np.concatenate([np.stack([a, b, a + n], 2).reshape(-1, 3), np.stack([b, b + n, a + n], 2).reshape(-1, 3)])
    return rings.reshape(-1, 3).astype(np.float32), faces


def skirt(heads: np.ndarray, o: Outfit, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A skirt's mesh around the legs, from posed bone heads (B, 3)."""
    at = dict(zip(DRIVEN, heads, strict=True))
    hips, knees, ankles = (np.stack([at[f'{b}.L'], at[f'{b}.R']]) for b in ('upperleg01', 'lowerleg01', 'foot'))
    up = at['spine03'] - at['root']
    up /= np.linalg.norm(up)
    angles, rings = np.arange(28) / 28 * 2 * np.pi, []

    def along(s: float) -> np.ndarray:
        return hips + (knees - hips) * s if s <= 1 else knees + (ankles - knees) * (s - 1)

    for s in np.linspace(-0.25, o.skirt, 9):
        legs = along(max(s, 0))
        center = hips.mean(0) + up * (-s * 0.4 * scale) if s < 0 else legs.mean(0)
        across = legs[0] - legs[1] if s > 0.3 else hips[0] - hips[1]
        axis = up if s < 0 else (hips - along(max(s, 0.2))).sum(0)
        axis = axis / np.linalg.norm(axis)
        across = across - axis * (across @ axis)
        across /= np.linalg.norm(across) + 1e-9
        thigh, flare = min(max(s, 0), 1), 0.05 * max(s + 0.1, 0) * scale
        if s >= 0:
            wide, deep = (
                np.linalg.norm(legs[0] - legs[1]) / 2 + (0.1 - 0.02 * thigh) * scale,
                (0.135 - 0.04 * thigh) * scale,
            )
        else:
            wide, deep = 0.165 * scale * (1 + 0.15 * s), (0.125 + 0.06 * s) * scale
        wave = 1 + 0.05 * max(s, 0) * np.sin(angles * 7 + o.phase[0])
        rings.append(
            center
            + (np.cos(angles) * (wide + flare) * wave)[:, None] * across
            + (np.sin(angles) * (deep + 1.3 * flare + 0.01) * wave)[:, None] * np.cross(axis, across)
        )
    return _sheet(np.array(rings), closed=True)


def long_hair(rotation: np.ndarray, center: np.ndarray, o: Outfit, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of hair that falls behind the head; ``rotation`` and ``center`` of the head as posed."""
    angles, rings = np.deg2rad(np.linspace(-112, 112, 17)), []
    for t in np.linspace(0, 1, 8):
        radius = 0.088 + 0.018 * np.sin(min(1, t * 2) * np.pi) + 0.012 * t
        strands = 1 + 0.04 * t * np.sin(angles * 9 + o.phase[1])
        y = np.cos(angles) * radius * strands * 1.08 - 0.008 + 0.03 * t
        rings.append(
            np.stack([np.sin(angles) * radius * strands, y, np.full(17, 0.115 - t * (o.hair_length + 0.02))], 1)
        )
    vertices, faces = _sheet(np.array(rings) * scale, closed=False)
    return vertices @ rotation.T + center, faces


def paint(fabric: Fabric, p: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Colours (N, 3) of a fabric at points at rest and coordinates along the limb, 0 or less on the torso."""
    around = np.arctan2(p[:, 0], -p[:, 1] + 0.03) * 0.14
    height = np.where(along > 0, along * 0.3, p[:, 2])
    colors = np.tile(fabric.colors[0], (len(p), 1))

    def bands(v: np.ndarray) -> np.ndarray:
        return ((v * fabric.frequency / np.pi + fabric.phase[0]) % 1) < fabric.duty

    if fabric.pattern == 'stripes':
        colors[bands(height)] = fabric.colors[1]
    elif fabric.pattern == 'pinstripes':
        colors[bands(around)] = fabric.colors[1]
    elif fabric.pattern == 'checks':
        share = 0.5 * (bands(height).astype(float) + bands(around))[:, None]
        colors = colors * (1 - share) + share * fabric.colors[1]
    elif fabric.pattern == 'print':
        waves = np.stack([around, height, p[:, 0]], 1) @ fabric.waves.T * fabric.frequency
        value = np.sin(waves + fabric.phase).sum(axis=1)
        colors[value > 0.8], colors[value < -1.4] = fabric.colors[1], fabric.colors[2]
    elif fabric.pattern == 'logo':
        x, z = p[:, 0] - 0.02 * (fabric.phase[0] - 3), height - 0.2 - 0.02 * fabric.phase[1]
        box = (
            (abs(x) < 0.03 + 0.01 * fabric.phase[2])
            & (abs(z) < 0.02 + 0.01 * fabric.phase[3])
            & (p[:, 1] < 0)
            & (along <= 0)
        )
        colors[box] = fabric.colors[1]
        letters = box & (((np.floor(x * 90) * 7 + np.floor(z * 60) * 13) % 5) < 2)
        colors[letters] = fabric.colors[2]
    elif fabric.pattern == 'yoke':
        colors[height > 0.17] = fabric.colors[1]
    return colors


def colors_at(o: Outfit, p: np.ndarray, arm: np.ndarray, leg: np.ndarray, lips: np.ndarray, eye: np.ndarray):
    """Colours (N, 3) and whether it is cloth (N,) at points of the body; arguments as in :class:`Tables`, (N, ...)."""
    head = (p[:, 2] > 0.5) & (abs(p[:, 0]) < 0.105) & (arm <= 0)
    x, y, z = abs(p[:, 0]), p[:, 1], p[:, 2]
    colors = np.tile(o.skin, (len(p), 1)) * (1 + 0.03 * np.sin(p @ o.waves[0] * 3 + o.phase[0]))[:, None]
    blush = np.exp(-((x - 0.04) ** 2 + (z - 0.6) ** 2) / 0.0007) * ((y < -0.05) & head)
    colors *= 1 + blush[:, None] * (-0.08, -0.08, 0.08)
    mouth = lips > 0.4
    colors[mouth] = o.skin * (0.62, 0.6, 0.86)
    if o.beard:
        jaw = head & (y < 0) & (z < 0.607 - 0.25 * x + np.maximum(0, x - 0.03) * 1.4) & ~mouth
        jaw &= (x > 0.022) | (z < 0.575) | (z > 0.585)
        colors[jaw] = 0.35 * colors[jaw] + 0.52 * o.hair
    front = head & (y < -0.085)
    brow = front & (x > 0.012) & (x < 0.055) & (abs(z - 0.667 - 0.004 * np.sin((x - 0.01) * 70)) < 0.0042)
    colors[brow] = 0.3 * colors[brow] + 0.42 * o.hair
    iris = (eye > 0.5) & ((x - 0.03) ** 2 + (z - 0.646) ** 2 < 0.0075**2)
    colors[eye > 0.5] = 0.82
    colors[iris] = o.hair * 0.5
    if o.glasses:
        colors[front & (abs(((x - 0.031) / 0.026) ** 2 + ((z - 0.643) / 0.02) ** 2 - 1) < 0.22)] = 0.05
    jag = (
        0.0 if o.hat is not None else 0.005 * np.sin(p[:, 0] * 310 + o.phase[4]) + 0.005 * np.sin(y * 270 + o.phase[5])
    )
    hair = head & _hair_here(p, jag)
    if o.hat is not None:
        colors[hair] = o.hat * (1 - 0.15 * (z[hair] < 0.7))[:, None]
    elif not o.bald:
        strands = 1 + 0.22 * np.sin(p[hair] @ o.waves[1] * 9 + o.phase[1]) * np.sin(p[hair] @ o.waves[2] * 6)
        colors[hair] = o.hair * strands[:, None]
    bottom, top = ~head & _in_bottom(o, p, arm, leg), ~head & _in_top(o, p, arm, leg)
    colors[bottom] = paint(o.bottom, p[bottom], leg[bottom])
    colors[bottom & (abs(z - o.waist + 0.012) < 0.01)] *= 0.5  # belt
    if top.any():
        colors[top] = paint(o.top, p[top], arm[top])
        if o.jacket is not None:
            colors[top & ~((x < 0.03 + 0.02 * z) & (y < 0) & (arm <= 0))] = o.jacket
        colors[top & np.where(arm > 0, arm > o.sleeve - 0.04, z < o.hem + 0.008)] *= 0.75
    if o.socks is not None:
        colors[(leg > 1.55) & ~bottom] = o.socks
    if o.shoes is not None:
        colors[leg > 1.92] = o.shoes
        colors[(leg > 1.92) & (z < -0.845)] = o.shoes[::-1] * 0.4 + 0.3  # sole
    return colors, top | bottom
