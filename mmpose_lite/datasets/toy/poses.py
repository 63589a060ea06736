"""Posed 3D skeletons of cartoon people, which :mod:`toy_figures` draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Lengths in head heights (chin to crown of an unscaled head).
HEAD, NECK, SPINE, STATURE = 1.15, 0.3, 2.2, 7.3
UPPER_ARM, FOREARM, THIGH, SHIN = 1.2, 1.08, 1.72, 1.62

# Joint angles in degrees as (low, high), drawn separately for left and right; 'swing' is one draw,
# added to one leg's flexion and taken from the other's, with the arms swinging against the legs.
# 'bend' is where the forearm turns to, as (inward, up, forward).
_STAND = {
    'weight': 0.30, 'pitch': (-4, 6), 'swing': (0, 6), 'shoulder_flex': (-12, 15), 'shoulder_abd': (5, 35),
    'elbow': (0, 60), 'bend': (0.4, 0.0, 1.0), 'hip_flex': (-4, 6), 'hip_abd': (1, 11), 'knee': (0, 10)}  # fmt: skip
POSES: tuple[dict, ...] = (
    _STAND,
    _STAND | {'weight': 0.17, 'swing': (12, 28), 'elbow': (10, 50), 'knee': (4, 30)},
    _STAND | {'weight': 0.10, 'swing': (28, 48), 'elbow': (60, 105), 'knee': (15, 75), 'pitch': (5, 15)},
    _STAND | {'weight': 0.13, 'shoulder_abd': (105, 170), 'bend': (0.7, 0.7, 0.2)},
    _STAND | {'weight': 0.08, 'shoulder_abd': (60, 100), 'elbow': (0, 100), 'bend': (0.1, 1.0, 0.3)},
    _STAND | {'weight': 0.08, 'shoulder_abd': (38, 58), 'elbow': (85, 110), 'bend': (1.0, 0.1, 0.0)},
    _STAND | {'weight': 0.06, 'hip_abd': (18, 38), 'knee': (0, 40), 'shoulder_abd': (20, 90)},
    _STAND | {'weight': 0.05, 'hip_flex': (65, 88), 'hip_abd': (8, 24), 'knee': (70, 95), 'sit': True},
    _STAND | {'weight': 0.03, 'pitch': (30, 60), 'shoulder_flex': (5, 40), 'knee': (0, 30)},
)
WALK = POSES[1] | {'swing': (22, 28), 'shoulder_abd': (5, 12), 'elbow': (15, 40)}
FRACTION_FROM_BEHIND = 0.2
MAX_YAW = 56.0
"""Degrees; shoulders are then seen at 0.56 of their width."""


@dataclass(frozen=True)
class Figure:
    """A posed person: points (x right, y down, nearness) in head heights, and where they go."""

    points: dict[str, np.ndarray]
    yaw: float
    build: float
    sits: bool
    unit: float = 1.0
    """Pixels per head height."""
    origin: np.ndarray | None = None
    """(2,) position of the pelvis in pixels."""
    first_label: int = 0
    """Part ``PARTS[i]`` is labelled ``first_label + i``."""

    @property
    def faces_camera(self) -> bool:
        """Whether the face is turned to the camera rather than away from it."""
        return bool(np.cos(self.yaw) > 0)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt(np.sum(vector**2))


def _limb_directions(
    rng: np.random.Generator, sign: int, angles: tuple[float, float, float], toward: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (left, up, forward) of the upper and the lower half of a limb.

    Args:
        rng: Source of randomness.
        sign: 1 for a left limb, -1 for a right one.
        angles: Flexion and abduction of the upper half, and bend of the joint, in degrees.
        toward: Where the lower half bends to, as (inward, up, forward).
    """
    flexion, abduction, bend = np.radians(angles)
    sideways, length = np.sin(abduction), np.cos(abduction)
    upper = np.array([sign * sideways, -length * np.cos(flexion), length * np.sin(flexion)])
    normal = np.multiply(toward, (-sign, 1, 1)) + rng.normal(0, 0.1, 3)
    normal = _unit(normal - np.sum(normal * upper) * upper)
    return upper, np.cos(bend) * upper + np.sin(bend) * normal


def sample_figure(rng: np.random.Generator, stride: float | None = None, to_right: bool = False) -> Figure:
    """Poses a skeleton in the person's own axes (left, up, forward), then turns and projects it.

    Args:
        rng: Source of all randomness; in the same state it makes the same person.
        stride: Where in a step someone is who walks past the camera, in radians; by default a random pose.
        to_right: Where they walk to.
    """
    weights = np.array([pose['weight'] for pose in POSES])
    pose = POSES[rng.choice(len(POSES), p=weights / weights.sum())] if stride is None else WALK
    arm_poses = [POSES[rng.integers(len(POSES))] if rng.random() < 0.2 else pose for _ in range(2)]
    if stride is not None:
        arm_poses = [pose, pose]
    build = rng.uniform(0.85, 1.2)
    arm_scale, leg_scale, shoulder_scale = rng.uniform(0.93, 1.07, 3)
    swing = rng.uniform(*pose['swing']) * (rng.choice([-1, 1]) if stride is None else np.sin(stride))
    swings = swing > 12 or swing < -12
    pitch, roll = np.radians([rng.uniform(*pose['pitch']), rng.normal(0, 5)])

    spine = np.array([np.sin(roll), np.cos(roll) * np.cos(pitch), np.cos(roll) * np.sin(pitch)])
    across = np.array([np.cos(roll), -np.sin(roll), 0.0])
    body = {'pelvis': np.zeros(3), 'thorax': SPINE * spine}

    tilt, turn = np.radians(rng.normal(0, [6, 10]))
    head_up = _unit(0.5 * spine + [0.5 * np.sin(tilt), 0.5, 0.1])
    head_left = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    head_left = _unit(head_left - np.sum(head_left * head_up) * head_up)
    head_axes = np.stack([head_left, head_up, np.cross(head_left, head_up)])
    body['upper_neck'] = body['thorax'] + NECK * _unit(spine + head_up)
    body['head_top'] = body['upper_neck'] + HEAD * head_up
    for name, offset in {
        'nose': (0.0, 0.42, 0.45), 'left_eye': (0.17, 0.57, 0.37), 'right_eye': (-0.17, 0.57, 0.37),
        'left_ear': (0.41, 0.5, 0.0), 'right_ear': (-0.41, 0.5, 0.0), 'mouth': (0.0, 0.24, 0.4),
        'brow': (0.0, 0.6, 0.12), 'chin': (0.0, 0.3, 0.1), 'skull': (0.0, HEAD - 0.45, 0.0),
        'jaw': (0.0, 0.34, 0.0), 'nape': (0.0, -0.05, -0.12), 'occiput': (0.0, 0.5, 0.0),
    }.items():  # fmt: skip
        body[name] = body['upper_neck'] + np.sum(np.array(offset)[:, None] * head_axes, axis=0)

    for side, sign, arm in zip(('left', 'right'), (1, -1), arm_poses, strict=True):
        shoulder = sign * 0.74 * shoulder_scale * np.sqrt(build) * across
        body[f'{side}_shoulder'] = body['thorax'] + shoulder - 0.1 * spine
        body[f'{side}_hip'] = sign * 0.42 * build * np.array([1.0, 0.0, 0.0])
        flexion = rng.uniform(*arm['shoulder_flex']) - 0.9 * sign * swing
        angles = (flexion, rng.uniform(*arm['shoulder_abd']), rng.uniform(*arm['elbow']))
        upper_arm, forearm = _limb_directions(rng, sign, angles, arm['bend'])
        body[f'{side}_elbow'] = body[f'{side}_shoulder'] + arm_scale * UPPER_ARM * upper_arm
        body[f'{side}_wrist'] = body[f'{side}_elbow'] + arm_scale * FOREARM * forearm
        body[f'{side}_hand'] = body[f'{side}_wrist'] + 0.24 * forearm
        flexion = rng.uniform(*pose['hip_flex']) + sign * swing
        abduction, knee = rng.uniform(*pose['hip_abd']), rng.uniform(*pose['knee'])
        if stride is not None:  # bent while the leg comes forward
            knee = 8 + 45 * max(0.0, sign * np.cos(stride))
        angles = (flexion, abduction, knee)
        thigh, shin = _limb_directions(rng, sign, angles, (0.4, -0.4, -1.0))
        body[f'{side}_knee'] = body[f'{side}_hip'] + leg_scale * THIGH * thigh
        body[f'{side}_ankle'] = body[f'{side}_knee'] + leg_scale * SHIN * shin
        body[f'{side}_heel'] = body[f'{side}_ankle'] + 0.1 * shin
        body[f'{side}_toe'] = body[f'{side}_heel'] + np.array([sign * 0.08, -0.06, 0.42])

    # Striding is seen from the side more often, where it shows.
    yaw = rng.uniform(20, MAX_YAW) * rng.choice([-1, 1]) if swings else rng.normal(0, 22)
    from_behind = rng.random() < FRACTION_FROM_BEHIND
    if stride is not None:
        yaw, from_behind = MAX_YAW if to_right else -MAX_YAW, False
    yaw = np.radians(np.clip(yaw, -MAX_YAW, MAX_YAW) + 180 * from_behind)
    cos, sin = np.cos(yaw), np.sin(yaw)
    points = {
        # The camera looks down a little: what is nearer lies lower.
        name: np.array([x * cos + z * sin, -y + 0.12 * (z * cos - x * sin), z * cos - x * sin])
        for name, (x, y, z) in body.items()
    }
    return Figure(points, yaw, build, sits='sit' in pose)
