"""Bodies of many builds and ages, from Anny's body model, as small tables that need no Anny at run time.

Anny (NAVER LABS Europe, Apache-2.0, assets CC0) keeps a cache of about 1 GB. Its bodies are sampled once here, reduced
to principal components and written with the skinning weights as one file of a few megabytes.

Axes: metres; x is the person's left, y their back, z up. Rotations of a bone are written in these axes of the body at
rest, about the bone's head, relative to its parent.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

TABLES_VERSION = 1
NUM_BODIES = 384
NUM_COMPONENTS = 40
BATCH = 16

SIDED = (
    *('clavicle', 'shoulder01', 'upperarm01', 'upperarm02', 'lowerarm01', 'lowerarm02', 'wrist'),
    *(f'finger{finger}-{joint}' for finger in (2, 3, 4, 5) for joint in (1, 2, 3)),
    *('upperleg01', 'upperleg02', 'lowerleg01', 'foot'),
)
DRIVEN = (
    *('root', 'spine05', 'spine04', 'spine03', 'spine02', 'spine01', 'neck01', 'neck02', 'neck03', 'head'),
    *(f'{bone}.{side}' for side in 'LR' for bone in SIDED),
)
"""Bones that poses turn; every other bone moves with its nearest ancestor among these."""

HEAD, NECK, TORSO, UPPER_ARM, FOREARM, HAND, THIGH, SHIN, FOOT = range(9)
"""Values of :attr:`Tables.part`."""


@dataclass(frozen=True)
class Tables:
    """What is the same for all bodies, and the bodies themselves.

    Args:
        faces: (T, 3) vertices of each triangle.
        template: (V, 3) the average adult at rest.
        part: (V,) body part, ``HEAD`` to ``FOOT``.
        arm: (V,) along the arm: 0 shoulder, 1 elbow, 2 wrist; negative elsewhere.
        leg: (V,) along the leg: 0 hip, 1 knee, 2 ankle; negative above.
        eye: (V,) 1 on the front of the eyeballs.
        lips: (V,) 0 to 1.
        neighbours: (V, 10) vertices beside each vertex.
        bones: (V, B) skinning weights over ``DRIVEN``, sparse.
        parents: (B,) index of each bone's parent, -1 for the root.
        rest: (B, 3) bone heads of the template.
        keypoints: (20, V) weights over vertices: COCO's 17, then thorax, upper neck and top of the head.
        phenotypes: (N, 4) gender (1 is female), age, weight and height of each body, as Anny scales them.
        mean, components, codes: bodies are ``mean + codes @ components``: (V + B) x 3 numbers each.
    """

    faces: np.ndarray
    template: np.ndarray
    part: np.ndarray
    arm: np.ndarray
    leg: np.ndarray
    eye: np.ndarray
    lips: np.ndarray
    neighbours: np.ndarray
    bones: csr_matrix
    parents: np.ndarray
    rest: np.ndarray
    keypoints: csr_matrix
    phenotypes: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    codes: np.ndarray

    @cached_property
    def surface(self) -> np.ndarray:
        """(V, 7) template, arm, leg, lips and eye side by side."""
        return np.column_stack([self.template, self.arm, self.leg, self.lips, self.eye]).astype(np.float32)

    @cached_property
    def smoothing(self) -> csr_matrix:
        """(V, V) moves each vertex six tenths of the way to the middle of its neighbours."""
        num, most = self.neighbours.shape
        rows = np.repeat(np.arange(num), most + 1)
        columns = np.column_stack([np.arange(num), self.neighbours]).ravel()
        values = np.tile(np.float32([0.4, *[0.6 / most] * most]), num)
        return csr_matrix((values, (rows, columns)), shape=(num, num))

    def body(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and bone heads (B, 3) of body ``index`` at rest."""
        points = (self.mean + self.codes[index] @ self.components).reshape(-1, 3)
        return points[: len(self.template)], points[len(self.template) :]

    def pose(self, vertices: np.ndarray, heads: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Skin a body.

        Args:
            vertices: (V, 3) at rest.
            heads: (B, 3) at rest.
            turns: (B, 3, 3) rotation of each bone relative to its parent.

        Returns:
            Vertices (V, 3) and bone heads (B, 3), posed.
        """
        rotations, positions = bone_transforms(torch.from_numpy(turns), torch.from_numpy(heads), self.parents)
        rotations, positions = rotations.numpy(), positions.numpy()
        shifts = positions - np.einsum('bij,bj->bi', rotations, heads)
        moves = (self.bones @ np.concatenate([rotations.reshape(-1, 9), shifts], axis=1)).astype(np.float32)
        return np.einsum('vij,vj->vi', moves[:, :9].reshape(-1, 3, 3), vertices) + moves[:, 9:], positions


def bone_transforms(turns: torch.Tensor, heads: torch.Tensor, parents: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotations (..., B, 3, 3) and positions (..., B, 3) of bones from their turns and heads at rest."""
    rotations, positions = [turns[..., 0, :, :]], [heads[..., 0, :].expand((*turns.shape[:-3], 3))]
    for bone in range(1, len(parents)):
        parent = parents[bone]
        offset = heads[..., bone, :] - heads[..., parent, :]
        positions.append(positions[parent] + (rotations[parent] @ offset[..., None])[..., 0])
        rotations.append(rotations[parent] @ turns[..., bone, :, :])
    return torch.stack(rotations, -3), torch.stack(positions, -2)


def tables_file() -> Path:
    """Where the tables are kept: under ``XDG_CACHE_HOME``, else ``~/.cache``."""
    cache_home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return cache_home / 'mmpose_lite' / f'bodies-{TABLES_VERSION}.npz'


@cache
def load_tables() -> Tables:
    """Read the tables, made at first use (a minute or two, and 1 GB of temporary files).

    Raises:
        ImportError: They have to be made and ``anny`` is missing.
        ValueError: The file is damaged.
    """
    path = tables_file()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = _make_tables()
        scratch = path.with_name(f'.{os.getpid()}.{path.name}')
        with scratch.open('wb') as file:
            np.savez_compressed(file, **arrays)
        os.replace(scratch, path)
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} is damaged ({error}): delete it, it is made again') from error
    for name in ('bones', 'keypoints'):
        parts = [arrays.pop(f'{name}_{part}') for part in ('data', 'indices', 'indptr', 'shape')]
        arrays[name] = csr_matrix(tuple(parts[:3]), shape=tuple(parts[3]))
    arrays['keypoints'] = (csr_matrix(_as_annotated()) @ arrays['keypoints']).astype(np.float32)
    return Tables(**{k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in arrays.items()})


def _as_annotated() -> np.ndarray:
    """(20, 20) moves Anny's joint centres to where COCO's annotators put them.

    In COCO's validation pictures, shoulders are lower and wider and hips wider, measured in lengths of the trunk.
    """
    move = np.eye(20)
    for left, right, widening in ((5, 6, 1.05), (11, 12, 1.17)):
        wide = np.array([(1 + widening, 1 - widening), (1 - widening, 1 + widening)])
        move[np.ix_([left, right], [left, right])] = wide / 2
    move[5:7, 5:7] -= 0.04 / 2
    move[5:7, 11:13] += 0.04 / 2
    return move


def _sample_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Adults mostly, children too; 0 to 1 on each of Anny's axes (age: 1/3 child, 2/3 young, 1 old)."""
    low, high = ((0.58, 0.95), (0.36, 0.6), (0.12, 0.36))[rng.choice(3, p=(0.8, 0.13, 0.07))]
    gender = np.clip(rng.choice((0.08, 0.92)) + rng.normal(0, 0.08), 0, 1)
    ancestry = rng.dirichlet((0.5, 0.5, 0.5))
    spread = {'muscle': 0.2, 'weight': 0.2, 'height': 0.17, 'proportions': 0.22, 'cupsize': 0.2, 'firmness': 0.15}
    others = {name: np.clip(rng.normal(0.5, sigma), 0.02, 0.98) for name, sigma in spread.items()}
    names = ('african', 'asian', 'caucasian')
    return {'gender': gender, 'age': rng.uniform(low, high), **others, **dict(zip(names, ancestry, strict=True))}


def _make_tables() -> dict[str, np.ndarray]:
    try:
        import anny
        import anny.paths
    except ImportError as error:
        raise ImportError(
            "Synthetic people need the body model Anny. Remedy: pip install 'mmpose_lite[synthetic]'"
        ) from error
    print('Making the tables of bodies, once: about two minutes', flush=True)
    before, scratch = anny.paths.get_anny_cache_path(), tempfile.mkdtemp(prefix='anny-')
    anny.paths.set_anny_cache_path(scratch)
    try:
        with torch.no_grad():
            # neither reduced by Anny, which takes longer than all else, nor skinned by warp, which would be compiled
            model = anny.Anny(phenotypes='all', phenotype_blendshapes='original', skinning_method='lbs')
            return _reduce(anny, model.to(dtype=torch.float32))
    finally:
        anny.paths.set_anny_cache_path(before)
        shutil.rmtree(scratch, ignore_errors=True)


def _reduce(anny, model) -> dict[str, np.ndarray]:
    from anny.face_segmentation import get_face_segmentation_mask

    labels = list(model.bone_labels)
    ancestors = [int(parent) for parent in model.bone_parents]
    driven = [labels.index(name) for name in DRIVEN]
    nearest = []
    for bone in range(len(labels)):
        while bone not in driven:
            bone = ancestors[bone]
        nearest.append(driven.index(bone))
    parents = np.array([nearest[ancestors[bone]] if bone else -1 for bone in driven])

    def mask(*names: str) -> np.ndarray:
        return get_face_segmentation_mask(model, list(names)).numpy()

    all_faces, num = model.faces.numpy(), len(model.template_vertices)
    inside = [f'{part}.{side}' for part in ('eye_back', 'eye_cavity') for side in 'LR']
    faces = all_faces[~mask('mouth_cavity', 'tongue', *inside)]
    used = np.zeros(num, bool)
    used[faces] = True
    eye = np.zeros(num, np.float32)
    eye[all_faces[mask('eye_front.L', 'eye_front.R')]] = 1

    weights = np.zeros((num, len(labels)), np.float32)
    by_vertex, indices = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    for k in range(by_vertex.shape[1]):
        np.add.at(weights, (np.arange(num), indices[:, k]), by_vertex[:, k])
    bones = np.zeros((num, len(DRIVEN)), np.float32)
    np.add.at(bones.T, nearest, weights.T)

    def rest(phenotypes: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        values = {name: torch.tensor([float(p[name]) for p in phenotypes]) for name in phenotypes[0]}
        out = model(phenotype_kwargs=values)
        return out['vertices'].numpy(), out['rest_bone_heads'].numpy()[:, driven]

    template, heads = (x[0] for x in rest([dict.fromkeys(model.phenotype_labels, 0.5)]))
    part = _parts(weights, labels)
    arm, leg = _limb_coordinates(template, heads, part)
    renumber = np.cumsum(used) - 1

    rng = np.random.default_rng(0)
    phenotypes = [_sample_phenotype(rng) for _ in range(NUM_BODIES)]
    shapes = []
    for start in range(0, NUM_BODIES, BATCH):
        vertices, positions = rest(phenotypes[start : start + BATCH])
        shapes.append(np.concatenate([vertices[:, used], positions], axis=1).reshape(len(vertices), -1))
    shapes = np.concatenate(shapes)
    mean = shapes.mean(axis=0)
    # not torch.pca_lowrank, which draws random numbers: the same seed has to draw the same people everywhere
    components = np.linalg.svd(shapes - mean, full_matrices=False)[2][:NUM_COMPONENTS]

    # the regressor's rows are over all vertices; a few lie inside the head
    regressor = anny.KeypointsRegressor.coco(model).regression_weights.numpy()[:17][:, used]
    regressor /= regressor.sum(axis=1, keepdims=True)
    extra = np.zeros((3, used.sum()), np.float32)
    points = (
        heads[DRIVEN.index('neck01')] - [0, 0, 0.03],
        heads[DRIVEN.index('head')],
        template[template[:, 2].argmax()],
    )
    for row, point in zip(extra, points, strict=True):
        near = np.linalg.norm(template[used] - point, axis=1).argsort()[: 40 if point is not points[2] else 1]
        # those in front and behind weigh so that their average is the joint inside
        offset = template[used][near] - point
        row[near] = np.linalg.lstsq(np.vstack([offset.T, np.ones(len(near))]), np.array([0, 0, 0, 1.0]), rcond=None)[0]
    sparse = {'bones': csr_matrix(bones[used]), 'keypoints': csr_matrix(np.vstack([regressor, extra]))}
    return {
        'faces': renumber[faces].astype(np.int32),
        'template': template[used].astype(np.float32),
        'part': part[used],
        'arm': arm[used].astype(np.float32),
        'leg': leg[used].astype(np.float32),
        'eye': eye[used],
        'lips': _lips(anny, model, num)[used],
        'neighbours': _neighbours(renumber[faces], used.sum()),
        'parents': parents,
        'rest': heads.astype(np.float32),
        'phenotypes': np.array([[p[k] for k in ('gender', 'age', 'weight', 'height')] for p in phenotypes]),
        'mean': mean.astype(np.float32),
        'components': components.astype(np.float16),
        'codes': ((shapes - mean) @ components.T).astype(np.float32),
        **{f'{name}_{k}': getattr(m, k) for name, m in sparse.items() for k in ('data', 'indices', 'indptr', 'shape')},
    }


def _parts(weights: np.ndarray, labels: list[str]) -> np.ndarray:
    starts = (
        (HEAD, ('eye', 'head', 'neck03', 'neck02')),
        (NECK, ('neck',)),
        (UPPER_ARM, ('upperarm',)),
        (FOREARM, ('lowerarm',)),
        (HAND, ('wrist', 'finger', 'metacarpal')),
        (THIGH, ('upperleg',)),
        (SHIN, ('lowerleg',)),
        (FOOT, ('foot', 'toe')),
    )
    of_bone = np.array([next((part for part, names in starts if label.startswith(names)), TORSO) for label in labels])
    return np.stack([weights[:, of_bone == part].sum(axis=1) for part in range(9)]).argmax(axis=0)


def _limb_coordinates(template: np.ndarray, heads: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    arm, leg = np.full(len(template), -1.0), np.full(len(template), -1.0)
    limbs = (
        (arm, (UPPER_ARM, FOREARM, HAND), ('upperarm01', 'lowerarm01', 'wrist')),
        (leg, (THIGH, SHIN, FOOT), ('upperleg01', 'lowerleg01', 'foot')),
    )
    for side, sign in (('L', 1), ('R', -1)):
        on_side = template[:, 0] * sign > 0
        for coordinate, parts, names in limbs:
            a, b, c = (heads[DRIVEN.index(f'{name}.{side}')] for name in names)
            upper = ((template - a) @ (b - a)) / ((b - a) @ (b - a))
            lower = 1 + ((template - b) @ (c - b)) / ((c - b) @ (c - b))
            for index, values in enumerate((upper, lower, np.maximum(lower, 1.9))):
                chosen = on_side & (part == parts[index])
                coordinate[chosen] = values[chosen]
    hip, knee = (heads[DRIVEN.index(f'{name}.L')][2] for name in ('upperleg01', 'lowerleg01'))
    torso = part == TORSO
    leg[torso] = np.minimum(0.12, (hip - template[torso, 2]) / (hip - knee))
    return arm, leg


def _lips(anny, model, num: int) -> np.ndarray:
    import cv2

    texture = Path(anny.__file__).parent / 'data/mpfb2/textures/mpfb_lips.jpg'
    mask = cv2.imread(str(texture), cv2.IMREAD_GRAYSCALE)
    uv = np.zeros((num, 2), np.float32)
    corners = model.face_texture_coordinate_indices.numpy().ravel()
    uv[model.faces.numpy().ravel()] = model.texture_coordinates.numpy()[corners]
    row, column = (1 - uv[:, 1]) * len(mask), uv[:, 0] * len(mask)
    return (
        mask[row.astype(int).clip(0, len(mask) - 1), column.astype(int).clip(0, len(mask) - 1)].astype(np.float32) / 255
    )


def _neighbours(faces: np.ndarray, num: int, most: int = 10) -> np.ndarray:
    beside = [set() for _ in range(num)]
    for a, b, c in faces.tolist():
        beside[a] |= {b, c}
        beside[b] |= {a, c}
        beside[c] |= {a, b}
    rows = [(sorted(row) * most)[:most] for row in beside]
    return np.array(rows, dtype=np.int32)
