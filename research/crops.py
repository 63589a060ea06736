"""Cut every labelled person out of a COCO data set, for trainings that read small pictures instead of whole ones.

    python research/crops.py --annotations train.json --images IMAGES --height 160 --out data/crops/coco

The box, enlarged by 1.25 at the aspect 3:4, is given HEIGHT pixels (never enlarged), with half as much again around it
for random scales and rotations. OUT gets ``images/*.jpg`` and ``annotations.json``, one person a picture.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ASPECT, PADDING, MARGIN = 3 / 4, 1.25, 1.5


def cut(person: dict, images: Path, height: int, out: Path) -> tuple[dict, dict] | None:
    """Write the crop of one person; its COCO image and annotation, or None where the box is a few pixels."""
    picture = cv2.imread(str(images / person['file_name']))
    if picture is None:
        raise ValueError(f'{images / person["file_name"]} cannot be read: check --images')
    x, y, w, h = person['bbox']
    side = max(h, w / ASPECT) * PADDING
    half = side * MARGIN / 2
    left, top = max(0, int(x + w / 2 - half)), max(0, int(y + h / 2 - half))
    crop = picture[top : int(y + h / 2 + half) + 1, left : int(x + w / 2 + half) + 1]
    if side < 8 or min(crop.shape[:2]) < 4:
        return None
    before, factor = crop.shape[1::-1], min(1.0, height / side)
    crop = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else crop
    fx, fy = np.array(crop.shape[1::-1]) / before
    keypoints = np.array(person['keypoints'], float).reshape(-1, 3)
    keypoints[:, :2] = (keypoints[:, :2] + 0.5 - (left, top)) * (fx, fy) - 0.5
    keypoints[keypoints[:, 2] == 0] = 0
    name = f'{person["id"]:012d}.jpg'
    cv2.imwrite(str(out / 'images' / name), crop, [cv2.IMWRITE_JPEG_QUALITY, 93])
    image = dict(id=person['id'], file_name=name, width=crop.shape[1], height=crop.shape[0])
    annotation = dict(
        id=person['id'],
        image_id=person['id'],
        category_id=1,
        iscrowd=0,
        area=person['area'] * fx * fy,
        bbox=[(x - left) * fx, (y - top) * fy, w * fx, h * fy],
        num_keypoints=int((keypoints[:, 2] > 0).sum()),
        keypoints=keypoints.round(2).ravel().tolist(),
    )
    return image, annotation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('annotations', 'images', 'out'):
        parser.add_argument(f'--{name}', type=Path, required=True)
    parser.add_argument('--height', type=int, required=True)
    args = parser.parse_args()
    data = json.loads(args.annotations.read_text('utf-8'))
    names = {image['id']: image['file_name'] for image in data['images']}
    people = [
        dict(annotation, file_name=names[annotation['image_id']])
        for annotation in data['annotations']
        if any(annotation['keypoints'][2::3]) and not annotation.get('iscrowd')
    ]
    (args.out / 'images').mkdir(parents=True, exist_ok=True)
    work = partial(cut, images=args.images, height=args.height, out=args.out)
    with ProcessPoolExecutor() as pool:
        done = [row for row in tqdm(pool.map(work, people, chunksize=32), total=len(people)) if row]
    content = dict(images=[a for a, _ in done], annotations=[b for _, b in done], categories=data['categories'])
    (args.out / 'annotations.json').write_text(json.dumps(content))
    print(f'{len(done)} of {len(people)} people in {args.out}')


if __name__ == '__main__':
    main()
