"""Cut portraits out of photographs of whole people, and pictures of no people, for a detector that is to know both.

    python tools/portraits.py --data /data/lspet --no-people coffee.png flower.jpg --out data/portraits

DATA holds people in MPII's format (configs/lspet/README.md). Of every one who is upright and not tiny a picture is cut
from above the head to somewhere between the chest and the hips. Of each photograph without people, 40 parts are cut:
where all others show a person, a network takes whatever stands out for one. OUT/images and OUT/annotations/train.json
are a COCO data set with one box for each portrait and none for the others.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

PELVIS, NECK, HEAD_TOP = 6, 8, 9  # of MPII's 16 joints
ARMS = [10, 11, 12, 13, 14, 15]


def portrait(joints: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Where to cut a portrait, and the person's box in it.

    Args:
        joints: (16, 2) x, y in pixels.
        size: Width and height of the picture.
        rng: Draws the margins.

    Returns:
        (2, 2) corners of the cut in pixels of the picture and (2, 2) corners of the box in pixels of the cut, or None
        where the person is tiny, not upright or not in the picture.
    """
    spine = joints[PELVIS] - joints[HEAD_TOP]
    head = np.linalg.norm(joints[NECK] - joints[HEAD_TOP])
    if spine[1] < 40 or abs(spine[0]) > 0.4 * spine[1] or not 8 < head < 0.6 * spine[1]:
        return None
    shown = joints[[*ARMS, NECK, HEAD_TOP]]
    bottom = joints[HEAD_TOP, 1] + rng.uniform(0.45, 1.0) * spine[1]
    shown = shown[shown[:, 1] < bottom]
    low = np.floor([shown[:, 0].min() - 0.3 * head, shown[:, 1].min() - 0.15 * head])
    high = np.ceil([shown[:, 0].max() + 0.3 * head, bottom])
    beside = head * rng.uniform(0, 2, 2)
    above = head * rng.uniform(0, 0.8)
    start = np.clip(np.array([low[0] - beside[0], low[1] - above]), 0, size).astype(int)
    end = np.clip(np.array([high[0] + beside[1], high[1]]), 0, size).astype(int)
    if (end - start < 24).any():
        return None
    box = np.clip(np.stack((low, high)), start, end) - start
    return np.stack((start, end)), box


def parts(image: np.ndarray, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Parts of a picture (H, W, 3), a third to all of its sides, at most 400 pixels large."""
    size = np.array(image.shape[:2])
    for _ in range(number):
        height, width = part = (size * rng.uniform(0.33, 1, 2)).astype(int)
        top, left = rng.integers(size - part + 1)
        zoom = min(1, 400 / max(part))
        yield cv2.resize(
            image[top : top + height, left : left + width], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', required=True, type=Path, metavar='DATA', help='people in MPII format')
    parser.add_argument(
        '--no-people', nargs='+', type=Path, default=[], metavar='PHOTO', help='photographs without a person'
    )
    parser.add_argument('--out', required=True, type=Path, metavar='OUT', help='folder of the portraits')
    parser.add_argument('--seed', type=int, default=0, metavar='S', help='(default: %(default)s)')
    args = parser.parse_args()
    people = args.data / 'annotations/mpii_train.json'
    if not people.is_file():
        parser.error(f'--data {args.data} has no annotations/mpii_train.json: see configs/lspet/README.md')
    (args.out / 'images').mkdir(parents=True, exist_ok=True)
    (args.out / 'annotations').mkdir(exist_ok=True)
    rng = np.random.default_rng(args.seed)
    images, annotations = [], []

    def read(path: Path) -> np.ndarray:
        image = cv2.imread(str(path))
        if image is None:
            parser.error(f'{path} cannot be read: check the path and the file')
        return image

    def add(picture: np.ndarray) -> int:
        number, name = len(images), f'{len(images):05d}.jpg'
        cv2.imwrite(str(args.out / 'images' / name), picture)
        images.append(dict(id=number, file_name=name, width=picture.shape[1], height=picture.shape[0]))
        return number

    for person in tqdm(json.loads(people.read_text()), unit='person'):
        image = read(args.data / 'images' / person['image'])
        found = portrait(np.array(person['joints']), np.array(image.shape[1::-1]), rng)
        if found is None:
            continue
        ((left, top), (right, bottom)), box = found
        number = add(image[top:bottom, left:right])
        sides = (box[1] - box[0]).tolist()
        row = dict(id=number, image_id=number, category_id=1, iscrowd=0, area=sides[0] * sides[1])
        annotations.append(dict(row, bbox=[*box[0].tolist(), *sides]))
    for path in args.no_people:
        for part in parts(read(path), 40, rng):
            add(part)
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='person')])
    file = args.out / 'annotations/train.json'
    partial = file.with_suffix('.partial')
    partial.write_text(json.dumps(content))
    partial.rename(file)
    print(f'{args.out}: {len(annotations)} portraits, {len(images) - len(annotations)} pictures without people')


if __name__ == '__main__':
    main()
