"""Poses as 32 angles within anatomical limits: sampled around everyday postures, and turned into bone rotations."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from .body_model import DRIVEN, load_tables

ARM = ('front', 'side', 'twist', 'elbow', 'pronation', 'wrist')
LEG = ('front', 'side', 'twist', 'knee', 'foot')
ANGLES = (
    *('yaw', 'pitch', 'roll', 'bend', 'lean', 'turn', 'nod', 'tilt', 'look'),
    *(f'arm_{name}.{side}' for side in 'LR' for name in ARM),
    *(f'leg_{name}.{side}' for side in 'LR' for name in LEG),
    'curl',
)
"""Degrees. ``front`` and ``side`` lift a hanging limb towards the front and away from the body; twists turn arms
inwards and legs outwards; yaw 0 faces the camera."""

LIMITS = {
    **{'bend': (-30, 75), 'lean': (-30, 30), 'turn': (-40, 40), 'nod': (-45, 50), 'tilt': (-35, 35), 'look': (-70, 70)},
    **{'arm_front': (-55, 178), 'arm_side': (-35, 178), 'arm_twist': (-60, 85), 'arm_elbow': (3, 145)},
    **{'arm_pronation': (-70, 70), 'arm_wrist': (-40, 50), 'curl': (0, 60)},
    **{
        'leg_front': (-28, 122),
        'leg_side': (-18, 65),
        'leg_twist': (-18, 35),
        'leg_knee': (0, 148),
        'leg_foot': (-28, 45),
    },
}
LOW, HIGH = np.array([LIMITS.get(name.split('.')[0], (-1e4, 1e4)) for name in ANGLES], dtype=np.float32).T

ARMS = {  # azimuth (0 front, 90 side), elevation from hanging, twist, elbow: from, to
    'down': ((60, 110), (4, 18), (0, 45), (5, 35)),
    'hips': ((95, 130), (32, 48), (55, 75), (85, 115)),
    'folded': ((5, 25), (22, 38), (62, 80), (95, 115)),
    'reach': ((-25, 50), (50, 110), (-10, 45), (0, 60)),
    'up': ((30, 90), (125, 172), (-30, 30), (0, 80)),
    'out': ((65, 110), (60, 105), (-60, 40), (0, 100)),
    'head': ((20, 75), (45, 95), (0, 55), (115, 142)),
    'behind': ((150, 190), (15, 40), (-10, 40), (5, 60)),
    'forward': ((-15, 30), (15, 45), (0, 40), (15, 90)),
    'backward': ((150, 200), (15, 40), (0, 20), (10, 60)),
    'carry': ((0, 40), (12, 35), (10, 60), (60, 110)),
    'lap': ((0, 30), (20, 45), (20, 55), (30, 75)),
    'any': ((-20, 170), (5, 150), (-40, 60), (0, 130)),
}
STANDING_ARMS = {
    **{'down': 0.34, 'hips': 0.07, 'reach': 0.1, 'up': 0.08, 'out': 0.07, 'head': 0.1, 'behind': 0.04},
    **{'forward': 0.04, 'carry': 0.1, 'any': 0.1, 'folded': 0.03},
}
POSTURES = {  # share of people, what arms do
    'stand': (0.24, STANDING_ARMS),
    'stand on one leg': (0.1, STANDING_ARMS),
    'walk': (0.15, {'swing': 0.7, 'down': 0.1, 'reach': 0.05, 'carry': 0.1, 'head': 0.05}),
    'run': (0.07, {'swing': 0.8, 'reach': 0.1, 'carry': 0.1}),
    'sit': (0.13, {'lap': 0.4, 'reach': 0.15, 'head': 0.12, 'carry': 0.15, 'any': 0.08, 'down': 0.05, 'up': 0.05}),
    'sit on the ground': (0.03, {'lap': 0.4, 'reach': 0.3, 'behind': 0.15, 'head': 0.15}),
    'squat': (0.04, {'lap': 0.3, 'reach': 0.4, 'carry': 0.2, 'head': 0.1}),
    'kneel': (0.03, {**STANDING_ARMS, 'reach': 0.3}),
    'bend': (0.06, {'reach': 0.5, 'lap': 0.2, 'carry': 0.2, 'any': 0.1}),
    'lie': (0.04, {'down': 0.3, 'out': 0.15, 'head': 0.2, 'up': 0.15, 'any': 0.2}),
    'jump': (0.05, {'up': 0.4, 'out': 0.25, 'any': 0.2, 'reach': 0.15}),
    'lunge': (0.04, STANDING_ARMS),
    'kick': (0.02, {'out': 0.4, 'any': 0.3, 'backward': 0.2, 'reach': 0.1}),
}


def _legs(rng: np.random.Generator, posture: str) -> list[tuple]:
    """Azimuth, elevation, twist, knee and foot of the two legs; the first is the leading one."""
    n, u = (lambda sigma: rng.normal(0, sigma)), rng.uniform
    if posture == 'stand on one leg':
        return [(u(60, 110), u(2, 14), n(10) + 10, u(0, 6), 0), (u(0, 60), u(8, 25), n(10) + 14, u(10, 40), 0)]
    if posture in ('walk', 'run'):
        k = 1.7 if posture == 'run' else 1
        front = (n(8), u(12, 28) * k, n(6) + 4, u(3, 20) * k**2, 0)
        return [front, (180 + n(8), u(6, 18) * k**0.5, n(6) + 4, u(10, 45) * k, u(0, 25))]
    if posture == 'kneel':
        return [(u(0, 20), u(80, 100), n(6) + 4, u(80, 100), 0), (n(10), u(0, 12), n(5) + 3, u(85, 105), u(0, 30))]
    if posture == 'lunge':
        return [(n(8) + 5, u(60, 90), n(6) + 5, u(70, 100), 0), (180 + n(8), u(5, 25), n(6), u(20, 80), u(10, 35))]
    if posture == 'kick':
        return [(n(20) + 10, u(35, 85), n(10) + 5, u(0, 60), u(0, 35)), (n(90), u(0, 10), n(8) + 6, u(3, 20), 0)]
    both = {
        'stand': lambda: (u(60, 110), u(0, 10), n(10) + 8, u(0, 6), 0),
        'sit': lambda: (u(-5, 25), u(75, 98), n(8) + 3, u(55, 105), n(8)),
        'sit on the ground': lambda: (u(0, 45), u(80, 118), u(-5, 30), u(10, 135), 0),
        'squat': lambda: (u(10, 35), u(90, 118), n(8) + 8, u(105, 140), -u(10, 28)),
        'bend': lambda: (n(8) + 10, u(20, 60), n(6) + 5, u(0, 35), 0),
        'lie': lambda: (n(25) + 30, u(0, 60) * (rng.random() < 0.6), n(10) + 10, u(0, 90) * (rng.random() < 0.6), 20),
        'jump': lambda: (u(0, 90) if rng.random() < 0.6 else 180, u(5, 70), n(10) + 8, u(5, 110), u(0, 40)),
    }[posture]
    return [both(), both()]


def sample_pose(rng: np.random.Generator, posture: str | None = None) -> tuple[np.ndarray, str]:
    """Angles (32,) in degrees within the limits, and the name of the posture (drawn by its share unless given)."""
    if posture is None:
        shares = np.array([share for share, _ in POSTURES.values()])
        posture = list(POSTURES)[rng.choice(len(POSTURES), p=shares / shares.sum())]
    u, pose = rng.uniform, dict.fromkeys(ANGLES, 0.0)
    pose['yaw'] = rng.normal(0, 45) if rng.random() < 0.6 else u(-180, 180)
    names, sigmas = ('bend', 'lean', 'turn', 'nod', 'tilt', 'look'), (6, 4, 7, 9, 6, 16)
    pose.update(zip(names, rng.normal((4, 0, 0, 3, 0, 0), sigmas), strict=True))
    legs = _legs(rng, posture)
    if posture == 'run':
        pose['bend'] += 8
    elif posture in ('sit', 'sit on the ground'):
        pose['bend'] += rng.normal(8, 10)
    elif posture == 'squat':
        pose['pitch'], pose['bend'] = u(10, 30), u(0, 25)
    elif posture == 'bend':
        pose['pitch'] = u(20, 55)
        pose['bend'] += pose['pitch'] * 0.7
        pose['nod'] -= pose['pitch'] * 0.4
    elif posture == 'lunge':
        pose['pitch'] = u(0, 15)
    elif posture == 'lie':
        pose['pitch'] = rng.normal(-90 if rng.random() < 0.6 else 90, 6)
    elif posture == 'jump':
        pose['pitch'] = rng.normal(0, 12)
    if rng.random() < 0.07:
        pose['roll'] += rng.normal(0, 20)

    weights = POSTURES[posture][1]
    shares = np.array(list(weights.values())) / sum(weights.values())
    arms = [list(weights)[rng.choice(len(weights), p=shares)] for _ in 'LR']
    if rng.random() < 0.55 or 'folded' in arms:
        arms[1] = arms[0]
    if 'swing' in arms:
        arms = ['backward', 'forward']
    sides = 'LR' if rng.random() < 0.5 else 'RL'
    for side, arm, leg in zip(sides, arms, legs, strict=True):
        azimuth, elevation, twist, elbow = (u(*span) for span in ARMS[arm])
        azimuth = np.deg2rad(azimuth)
        values = (elevation * np.cos(azimuth), elevation * np.sin(azimuth), twist, elbow, u(-60, 60), u(-25, 35))
        pose.update({f'arm_{name}.{side}': value for name, value in zip(ARM, values, strict=True)})
        azimuth = np.deg2rad(leg[0])
        values = (leg[1] * np.cos(azimuth), leg[1] * np.sin(azimuth), *leg[2:])
        pose.update({f'leg_{name}.{side}': value for name, value in zip(LEG, values, strict=True)})
    pose['curl'] = 45 * rng.random() ** 1.5
    return np.array([pose[name] for name in ANGLES], dtype=np.float32).clip(LOW, HIGH), posture


def rotation(vector: torch.Tensor) -> torch.Tensor:
    """Rodrigues' formula: rotation vectors (..., 3) in degrees to matrices (..., 3, 3)."""
    vector = torch.deg2rad(vector)
    angle = (vector.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    x, y, z = (vector / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    angle = angle[..., None]
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * cross @ cross


def _aligning(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rotation vector in degrees that turns direction a into direction b."""
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return axis / max(sine, 1e-9) * np.rad2deg(np.arctan2(sine, a @ b))


@cache
def _rest_frames() -> dict[str, torch.Tensor]:
    """Directions of the left limbs at rest, and what takes them to hanging down with the elbow flexing forwards."""
    rest = dict(zip(DRIVEN, load_tables().rest.astype(float), strict=True))

    def direction(a: str, b: str) -> np.ndarray:
        d = rest[f'{b}.L'] - rest[f'{a}.L']
        return d / np.linalg.norm(d)

    down = np.array([0, 0, -1.0])
    arm, forearm = direction('upperarm01', 'lowerarm01'), direction('lowerarm01', 'wrist')
    hinge = np.cross(arm, forearm)
    hinge /= np.linalg.norm(hinge)
    arm_down = _aligning(arm, down)
    hung = rotation(torch.tensor(arm_down)).numpy() @ hinge
    # about the vertical, what remains until the hinge points to the right, so that the forearm flexes forwards
    twist = np.rad2deg(np.arctan2(-hung[1], -hung[0]))
    leg_down = _aligning(direction('upperleg01', 'foot'), down)
    knuckles = direction('finger5-1', 'finger2-1')
    frames = {
        'arm': arm, 'forearm': forearm, 'hinge': hinge, 'across': np.cross(hinge, forearm), 'arm_down': arm_down,
        'arm_twist': twist, 'elbow': np.rad2deg(np.arccos(arm @ forearm)), 'leg_down': leg_down,
        'leg': rotation(torch.tensor(leg_down)).numpy().T @ [0, 0, 1.0], 'knuckles': knuckles,
    }  # fmt: skip
    return {name: torch.tensor(np.asarray(value), dtype=torch.float32) for name, value in frames.items()}


def bone_turns(angles: torch.Tensor) -> torch.Tensor:
    """Angles (..., 32) to the rotation of each bone relative to its parent, (..., B, 3, 3); differentiable."""
    pose = dict(zip(ANGLES, angles.unbind(-1), strict=True))
    frames, zero = _rest_frames(), torch.zeros_like(angles[..., 0])

    def about(axis: str, angle: torch.Tensor) -> torch.Tensor:
        return rotation(frames[axis] * angle[..., None])

    def turn(x=zero, y=zero, z=zero) -> torch.Tensor:
        return rotation(torch.stack([x, y, z], -1))

    def euler(x, y, z) -> torch.Tensor:
        return turn(z=z) @ turn(y=y) @ turn(x=x)

    turns = {'root': euler(pose['pitch'], pose['roll'], pose['yaw'])}
    spine = euler(pose['bend'] / 5, pose['lean'] / 5, pose['turn'] / 5)
    turns.update({f'spine0{k}': spine for k in range(1, 6)})
    neck = euler(pose['nod'] / 4, pose['tilt'] / 4, pose['look'] / 4)
    turns.update(dict.fromkeys(('neck01', 'neck02', 'neck03', 'head'), neck))
    mirror = torch.tensor([[1.0, -1, -1], [-1, 1, 1], [-1, 1, 1]])
    for side in 'LR':
        front, lift, twist, elbow, pronation, wrist = (pose[f'arm_{name}.{side}'] for name in ARM)
        elevation = (front.square() + lift.square() + 1e-6).sqrt()
        # the shoulder blade follows the arm from 55 degrees on
        sideways = (lift / elevation).clamp(0.25, 1)
        blade = (0.4 * (elevation - 55)).clamp(0, 40) * sideways
        half = about('arm', (twist + frames['arm_twist']) / 2)
        arm = turn(y=blade) @ turn(x=-front, y=-lift) @ rotation(frames['arm_down']) @ half
        left = {
            'clavicle': turn(y=-0.6 * blade),
            'shoulder01': turn(y=-0.4 * blade),
            'upperarm01': arm,
            'upperarm02': half,
            'lowerarm01': about('hinge', elbow - frames['elbow']),
            'lowerarm02': about('forearm', pronation / 2),
            'wrist': about('forearm', pronation / 2) @ about('hinge', wrist),
        }
        left['finger'] = about('knuckles', -pose['curl'])
        front, lift, twist, knee, foot = (pose[f'leg_{name}.{side}'] for name in LEG)
        half = about('leg', twist / 2)
        left['upperleg01'] = turn(x=-front, y=-lift) @ rotation(frames['leg_down']) @ half
        left['upperleg02'], left['lowerleg01'], left['foot'] = half, turn(x=knee), turn(x=foot)
        turns.update({f'{name}.{side}': matrix * mirror if side == 'R' else matrix for name, matrix in left.items()})
    of_bone = [f'finger.{name[-1]}' if name.startswith('finger') else name for name in DRIVEN]
    return torch.stack([turns[name] for name in of_bone], -3)
