"""Poses of real people: the body is fitted to annotated 2D keypoints by gradient descent within the limits.

Each person starts from the sampled poses whose keypoints fit best, seen from any side; the one fitted best is kept.
The camera (scale and shift) has a closed form. The method is that of SMPLify (Bogo et al., ECCV 2016), with limits of
angles and nearness to the starting pose as the prior.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .body_model import bone_transforms, load_tables
from .poses import ANGLES, HIGH, LOW, bone_turns, sample_pose

COCO_FROM_MPII = {16: 0, 14: 1, 12: 2, 11: 3, 13: 4, 15: 5, 10: 10, 8: 11, 6: 12, 5: 13, 7: 14, 9: 15}
MIN_KEYPOINTS = 9
NUM_STARTS, STARTS_EACH, STEPS, LEARNING_RATE = 3000, 3, 120, 2.0
MAX_ERROR = 0.05
"""Greatest mean error of a fit that is kept, in units of the keypoints' extent."""


def read_keypoints(path: str | Path) -> np.ndarray:
    """Keypoints (N, 17, 3) in COCO's order of the people with enough labelled joints, from COCO's or MPII's JSON.

    Raises:
        OSError, ValueError: The file cannot be read, is neither, or has nobody to fit.
    """
    try:
        raw = json.loads(Path(path).read_text())
        if isinstance(raw, dict):
            people = [np.reshape(a['keypoints'], (17, 3)) for a in raw['annotations'] if not a.get('iscrowd')]
        else:
            people = []
            for annotation in raw:
                joints = np.column_stack((annotation['joints'], np.ravel(annotation['joints_vis'])))
                person = np.zeros((17, 3))
                person[list(COCO_FROM_MPII)] = joints[list(COCO_FROM_MPII.values())]
                people.append(person)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f'{path}: not keypoints of people in the JSON of COCO or MPII: {error!r}') from error
    people = np.array(people, dtype=np.float32).reshape(-1, 17, 3)
    labelled = people[:, :, 2] > 0
    enough = (labelled.sum(axis=1) >= MIN_KEYPOINTS) & labelled[:, [5, 6, 11, 12]].all(axis=1)
    if not enough.any():
        raise ValueError(
            f'{path}: none of {len(people)} people has shoulders, hips and {MIN_KEYPOINTS} keypoints labelled'
        )
    return people[enough]


def joints(angles: torch.Tensor) -> torch.Tensor:
    """COCO's keypoints (..., 17, 3) of the average adult in poses (..., 32), in metres; differentiable."""
    tables = load_tables()
    rest = torch.from_numpy(tables.rest)
    rotations, positions = bone_transforms(bone_turns(angles), rest, tables.parents)
    weights, points = _joint_weights()
    return torch.einsum('kb,...bi->...ki', weights, positions - (rotations @ rest[..., None])[..., 0]) + torch.einsum(
        'kbj,...bij->...ki', points, rotations
    )


@cache
def _joint_weights() -> tuple[torch.Tensor, torch.Tensor]:
    """Of each keypoint and bone: the sum of weights (17, B), and of weighted vertices (17, B, 3)."""
    tables = load_tables()
    keypoints = tables.keypoints[:17]
    weights = (keypoints @ tables.bones).toarray()
    points = [(keypoints @ tables.bones.multiply(tables.template[:, [i]]).tocsr()).toarray() for i in range(3)]
    return torch.tensor(weights, dtype=torch.float32), torch.tensor(np.stack(points, -1), dtype=torch.float32)


def _residuals(model: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Distance (..., 17) of each labelled keypoint after the best scale and shift, in units of the target's extent."""
    weight = weight[..., None]
    total = weight.sum(-2, keepdim=True)
    flat = torch.stack([model[..., 0], -model[..., 2]], -1)
    flat = flat - (weight * flat).sum(-2, keepdim=True) / total
    target = target - (weight * target).sum(-2, keepdim=True) / total
    scale = (weight * flat * target).sum((-2, -1)) / (weight * flat.square()).sum((-2, -1)).clamp(min=1e-6)
    extent = (weight * target.square()).sum((-2, -1)).div(total[..., 0, 0]).sqrt().clamp(min=1e-6) * 3
    difference = scale.clamp(min=1e-6)[..., None, None] * flat - target
    return (difference.square().sum(-1) + 1e-10).sqrt() / extent[..., None] * weight[..., 0]


def fit_poses(
    keypoints: np.ndarray, seed: int = 0, batch: int = 128, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a pose to each person.

    Args:
        keypoints: (N, 17, 3) x, y in pixels and visibility, 0 where not labelled.
        seed: Of the starting poses.
        batch: People fitted at a time.
        progress: Whether to show a progress bar.

    Returns:
        Angles (N, 32) in degrees, and the mean error (N,) in units of three times the keypoints' standard deviation,
        about the height of a standing person.
    """
    rng = np.random.default_rng([seed, 17])
    starts = torch.from_numpy(np.stack([sample_pose(rng)[0] for _ in range(NUM_STARTS)]))
    starts[:, 0] = torch.from_numpy(rng.uniform(-180, 180, NUM_STARTS).astype(np.float32))
    with torch.no_grad():
        start_joints = joints(starts)
    low, high = torch.from_numpy(LOW), torch.from_numpy(HIGH)
    free = torch.tensor([name not in ('curl',) for name in ANGLES])
    poses, errors = [], []
    for begin in tqdm(range(0, len(keypoints), batch), desc='poses', disable=not progress):
        people = torch.from_numpy(np.asarray(keypoints[begin : begin + batch], dtype=np.float32))
        target, weight = people[:, None, :, :2], (people[:, None, :, 2] > 0).float()
        count = weight.sum(-1)
        with torch.no_grad():
            near = torch.cat(
                [_residuals(start_joints, t, w).sum(-1)[None] for t, w in zip(target, weight, strict=True)]
            )
            first = starts[near.topk(STARTS_EACH, largest=False).indices]
        angles = first.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([angles], lr=LEARNING_RATE)
        for step in range(STEPS):
            optimizer.param_groups[0]['lr'] = LEARNING_RATE * (1 - step / STEPS) + 0.1
            residual = _residuals(joints(angles), target, weight)
            robust = (residual.square() / (residual.square() + 0.02)).sum(-1) / count
            beyond = ((low - angles).clamp(min=0) + (angles - high).clamp(min=0)).square().sum(-1)
            moved = ((angles - first)[..., 3:] / 60).square().mean(-1)
            loss = (robust + 1e-3 * beyond + 2e-3 * moved).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            angles = torch.where(free, angles.maximum(low).minimum(high), first)
            error = _residuals(joints(angles), target, weight).sum(-1) / count
            best = error.argmin(-1)
            rows = torch.arange(len(best))
            poses.append(angles[rows, best].numpy())
            errors.append(error[rows, best].numpy())
    return np.concatenate(poses), np.concatenate(errors)


def poses_like(path: str | Path, seed: int, most: int, progress: bool = False) -> np.ndarray:
    """Poses (N, 32) fitted to at most ``most`` people of an annotation file, drawn by ``seed``; bad fits left out."""
    people = read_keypoints(path)
    order = np.random.default_rng([seed, 18]).permutation(len(people))[:most]
    poses, errors = fit_poses(people[order], seed, progress=progress)
    if not (errors < MAX_ERROR).any():
        raise ValueError(f'{path}: no pose within the limits of the body fits its {len(order)} people')
    return poses[errors < MAX_ERROR]
