"""Compose pictures of people from photographs with keypoints, for training a person detector.

A data set of crops around one person each, all of them in the middle and whole, teaches a detector neither portraits
nor people of all sizes, in groups, before anything, or cut by the picture's edge. So people are cut out of their
photographs along their keypoints (GrabCut) and put, most of them upright, into other photographs, from which the person
was removed or not, among painted things and shapes of people that are none; or the photograph itself is framed as a
portrait. After "Cut, Paste and Learn" (Dwibedi et al., ICCV 2017): https://arxiv.org/abs/1708.01642

python tools/compose_scenes.py --data /data/lspet --out data/scenes --count 12000

The data has MPII's format (annotations/mpii_train.json and images/). What is written has it too, and COCO's with boxes
alone; a joint beyond the picture's edge is labelled where it would be, which BlankOutside understands. With --portraits
every picture is a near portrait, for a pose network.
"""

import argparse
import json
import multiprocessing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

PELVIS, THORAX, NECK, HEAD_TOP = 6, 7, 8, 9  # MPII's numbers, as all below
SHOULDERS_HIPS = (2, 3, 13, 12)
SHOULDERS, ELBOWS = (12, 13), (11, 14)
MIRRORED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)  # left joints for right ones
LIMBS = ((0, 1), (1, 2), (3, 4), (4, 5), (10, 11), (11, 12), (13, 14), (14, 15), (8, 9), (2, 12), (3, 13))
SHAPES = ((320, 240), (320, 240), (240, 320), (240, 320), (320, 180), (288, 288))  # width and height in pixels
MAX_ZOOM = 5  # of a photograph; beyond there is nothing to see
MAX_ZOOM_NEAR = 12  # of near portraits, of which a pose network sees 128x128 pixels
KEPT_OPEN = 0.4  # share of a person that others may not hide


@dataclass(frozen=True)
class Photograph:
    """A photograph of one person.

    Args:
        image: (H, W, 3).
        person: 255 where the person is, (H, W).
        empty: The photograph without its person, (H, W, 3).
        joints: (16, 2), x and y in pixels.
        upright: Whether neck and head continue the trunk, so that the trunk tells which way is up.
    """

    image: np.ndarray
    person: np.ndarray
    empty: np.ndarray
    joints: np.ndarray
    upright: bool

    @property
    def trunk(self) -> float:
        """Length from the pelvis to the top of the head in pixels: about half a person's height."""
        return float(np.linalg.norm(self.joints[HEAD_TOP] - self.joints[PELVIS]))

    @property
    def lowered(self) -> bool:
        """Whether both elbows are below the shoulders, along the trunk: as people stand and sit, acrobats aside."""
        trunk = self.joints[PELVIS] - self.joints[THORAX]
        upper_arms = self.joints[list(ELBOWS)] - self.joints[list(SHOULDERS)]
        return bool((upper_arms @ trunk > 0.15 * trunk @ trunk).all())

    @property
    def tilt(self) -> float:
        """Angle from the vertical to the trunk, in degrees."""
        x, y = self.joints[THORAX] - self.joints[PELVIS]
        return float(np.degrees(np.arctan2(x, -y)))


@dataclass(frozen=True)
class Person:
    """A person of a scene.

    Args:
        box: x, y, width and height of what is seen of them, in pixels.
        joints: (16, 2), x and y, whether hidden or not; some may lie beyond the picture's edge.
    """

    box: np.ndarray
    joints: np.ndarray

    def to_coco(self, image_id: int, number: int) -> dict:
        """Annotation ``number`` of COCO's format, from 1."""
        box = self.box.tolist()
        return {
            'id': number,
            'image_id': image_id,
            'category_id': 1,
            'iscrowd': 0,
            'bbox': box,
            'area': box[2] * box[3],
        }

    def to_mpii(self, file_name: str) -> dict:
        """An entry of MMPose's MPII lists, whose centre is 1-based and is moved down by 15 * scale when it is read."""
        scale = float(self.box[2:].max()) / 200
        center = self.box[:2] + self.box[2:] / 2 + 1 - (0, 15 * scale)
        joints, seen = np.round(self.joints, 2).tolist(), [1] * len(self.joints)
        return {'image': file_name, 'center': center.tolist(), 'scale': scale, 'joints': joints, 'joints_vis': seen}


def cut_out(image: np.ndarray, joints: np.ndarray) -> np.ndarray | None:
    """255 where the person is, (H, W); None where that cannot be told from what is around."""
    unit = np.linalg.norm(joints[HEAD_TOP] - joints[NECK])
    if unit < 6:
        return None
    sure, near = np.zeros((2, *image.shape[:2]), np.uint8)
    points = np.round(joints).astype(int)
    for a, b in LIMBS:
        cv2.line(sure, points[a].tolist(), points[b].tolist(), 1, max(1, int(unit * 0.22)))
        cv2.line(near, points[a].tolist(), points[b].tolist(), 1, max(3, int(unit * 1.1)))
    cv2.fillConvexPoly(sure, cv2.convexHull(points[list(SHOULDERS_HIPS)]), 1)
    head = points[[HEAD_TOP, NECK]].mean(axis=0).astype(int).tolist()
    cv2.circle(sure, head, int(unit * 0.3), 1, -1)
    cv2.circle(near, head, int(unit * 0.75), 1, -1)
    near = cv2.dilate(near, None, iterations=int(unit * 0.2))
    around = cv2.dilate(near, None, iterations=max(2, int(unit * 0.25)))
    mask = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    for area, belief in ((around, cv2.GC_PR_BGD), (near, cv2.GC_PR_FGD), (sure, cv2.GC_FGD)):
        mask[area > 0] = belief
    cv2.setRNGSeed(0)  # the same cut in every process
    try:
        cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # nothing left for the background
        return None
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(found)
    person = (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    # a cut that keeps most of what it was offered has seen no edge
    return person * 255 if person.sum() < 0.72 * near.sum() else None


def read_photograph(annotation: dict, images: Path) -> Photograph | None:
    """A person of the annotation file; None where a joint is missing or the person cannot be cut out.

    Raises:
        FileNotFoundError: If the picture is missing or broken.
    """
    path = images / annotation['image']
    if (image := cv2.imread(str(path))) is None:
        raise FileNotFoundError(f'{path} is missing or broken: check --data')
    if not all(annotation['joints_vis']):
        return None
    joints = np.array(annotation['joints'], np.float64)
    person = cut_out(image, joints)
    if person is None:
        return None
    empty = cv2.inpaint(image, cv2.dilate(person, None, iterations=4), 3, cv2.INPAINT_TELEA)
    trunk, head = joints[THORAX] - joints[PELVIS], joints[HEAD_TOP] - joints[NECK]
    cosine = trunk @ head / max(1e-6, np.linalg.norm(trunk) * np.linalg.norm(head))
    return Photograph(image, person, empty, joints, bool(cosine > 0.8))


def placed(photo: Photograph, zoom: float, angle: float, flip: bool, joint: int, at: tuple[float, float]) -> np.ndarray:
    """The (2, 3) matrix that zooms a photograph, turns it by degrees, mirrors it, and puts a joint somewhere."""
    radians = np.radians(angle)
    turn = zoom * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    turn = turn @ np.diag((-1.0 if flip else 1.0, 1.0))
    return np.column_stack((turn, np.array(at) - turn @ photo.joints[joint]))


class Scene:
    """A picture that is being composed.

    Args:
        rng: Draws everything.
        photos: What it is composed of.
    """

    def __init__(self, rng: np.random.Generator, photos: list[Photograph]) -> None:
        self.rng = rng
        self.photos = photos
        self.width, self.height = SHAPES[rng.integers(len(SHAPES))]
        self.image = np.zeros((self.height, self.width, 3), np.uint8)
        self.owner = np.zeros((self.height, self.width), int)  # number of the person who is seen there
        self.sizes: list[int] = []  # of each person, pixels before others came in front
        self.joints: list[np.ndarray] = []  # of each person, (16, 2)

    def draw_photo(self) -> Photograph:
        """One of the photographs."""
        return self.photos[self.rng.integers(len(self.photos))]

    def _warp(self, picture: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        return cv2.warpAffine(picture, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR, borderMode=border)

    def lay_background(self, photo: Photograph, matrix: np.ndarray) -> None:
        """The photograph without its person, mirrored on where it ends."""
        self.image = self._warp(photo.empty, matrix, cv2.BORDER_REFLECT_101)

    def lay_any_background(self) -> None:
        """A photograph without its person, anyhow."""
        photo, rng = self.draw_photo(), self.rng
        height, width = photo.image.shape[:2]
        zoom = max(self.width / width, self.height / height) * rng.uniform(0.6, 2)
        at = rng.uniform(0.2, 0.8, 2) * (self.width, self.height)
        self.lay_background(photo, placed(photo, zoom, rng.normal(0, 5), rng.random() < 0.5, PELVIS, at))

    def add_things(self, number: int) -> None:
        """Paint shapes, some of them a person's, with what lies in other photographs."""
        rng = self.rng
        for _ in range(number):
            mask = np.zeros((self.height, self.width), np.uint8)
            center = rng.uniform(0, 1, 2) * (self.width, self.height)
            size = np.exp(rng.uniform(np.log(0.05), np.log(0.5), 2)) * self.height
            if (kind := rng.integers(4)) == 0:
                photo = self.draw_photo()
                zoom = min(MAX_ZOOM, rng.uniform(0.15, 1.2) * self.height / 2 / photo.trunk)
                mask = self._warp(photo.person, placed(photo, zoom, rng.uniform(0, 360), False, PELVIS, center))
            elif kind == 1:
                cv2.ellipse(mask, (center.tolist(), (2 * size).tolist(), rng.uniform(0, 180)), 255, -1)
            elif kind == 2:
                corners = cv2.boxPoints((center.tolist(), (2 * size).tolist(), rng.choice((0, rng.uniform(0, 90)))))
                cv2.fillPoly(mask, [corners.astype(int)], 255)
            else:
                ends = (center + rng.normal(0, self.height / 2, (2, 2))).astype(int).tolist()
                cv2.line(mask, *ends, 255, int(rng.integers(1, max(3, self.height // 15))))
            if rng.random() < 0.8:
                photo = self.draw_photo()
                matrix = placed(photo, rng.uniform(0.5, 3), rng.uniform(0, 360), False, PELVIS, rng.uniform(0, 300, 2))
                filling = self._warp(photo.empty, matrix, cv2.BORDER_REFLECT_101).astype(float)
            else:
                filling = np.full(self.image.shape, rng.uniform(0, 255, 3))
            shade = np.linspace(*rng.uniform(0.6, 1.4, 2), self.width)[:, None]
            self._paint(filling * shade, mask, 0)

    def add_person(self, photo: Photograph, matrix: np.ndarray, natural: bool = False) -> bool:
        """Put the person where the matrix says; false where hardly anything would be seen of them or someone else.

        Args:
            photo: The person's photograph.
            matrix: From the photograph's pixels to this picture's.
            natural: With what is around the person in the photograph.
        """
        person = self._warp(photo.person, matrix) > 127
        whole = (photo.person > 0).sum() * abs(np.linalg.det(matrix[:, :2]))
        head = matrix @ (*photo.joints[[HEAD_TOP, NECK]].mean(axis=0), 1)
        head_seen = (head > 0).all() and (head < (self.width, self.height)).all()
        if person.sum() < 150 or person.sum() < (0.12 if head_seen else 0.4) * whole:
            return False
        hidden = np.bincount(self.owner[person], minlength=len(self.sizes) + 1)[1:]
        left = np.bincount(self.owner.ravel(), minlength=len(self.sizes) + 1)[1:] - hidden
        if (left < KEPT_OPEN * np.array(self.sizes)).any():
            return False
        number = len(self.sizes) + 1
        self.sizes.append(int(person.sum()))
        joints = photo.joints @ matrix[:, :2].T + matrix[:, 2]
        self.joints.append(joints[list(MIRRORED)] if np.linalg.det(matrix[:, :2]) < 0 else joints)
        look = photo.image.astype(float)
        if natural:
            self._paint(self._warp(look, matrix), self._warp(np.full(photo.person.shape, 255, np.uint8), matrix), 0)
        else:
            look = look * self.rng.uniform(0.85, 1.15, 3) * self.rng.uniform(0.75, 1.25) + self.rng.uniform(-15, 15)
            self._paint(self._warp(look, matrix), self._warp(cv2.erode(photo.person, None), matrix), 0)
        self.owner[person] = number
        return True

    def _paint(self, filling: np.ndarray, mask: np.ndarray, number: int) -> None:
        share = cv2.GaussianBlur(mask, (0, 0), self.rng.uniform(0.3, 1.2))[..., None] / 255
        self.image = np.clip(filling * share + self.image * (1 - share), 0, 255).astype(np.uint8)
        self.owner[mask > 127] = number

    def people(self) -> list[Person]:
        """Those of whom enough is seen to be found."""
        found = []
        for number, joints in enumerate(self.joints, 1):
            rows, columns = np.nonzero(self.owner == number)
            if len(rows) >= 100:
                low = np.array((columns.min(), rows.min()))
                high = np.array((columns.max(), rows.max())) + 1
                found.append(Person(np.append(low, high - low), joints))
        return found

    def finish(self) -> np.ndarray:
        """The picture as a poor camera sees it."""
        rng, image = self.rng, self.image
        if rng.random() < 0.1:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if rng.random() < 0.4:  # how sharp it is must not tell how large somebody is
            small = cv2.resize(image, None, fx=(f := rng.uniform(0.35, 1)), fy=f, interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.5:
            soft = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 3))
            image = cv2.addWeighted(image, 1 + (g := rng.uniform(0.3, 1.5)), soft, -g, 0)
        noise = rng.normal(0, rng.uniform(0, 8), image.shape)
        return np.clip(image * rng.uniform(0.7, 1.3) + noise, 0, 255).astype(np.uint8)


def straight(rng: np.random.Generator, photo: Photograph, spread: float, always: bool = False) -> float:
    """By how many degrees to turn a photograph: to the trunk's upright, give or take, or not at all."""
    if not always and (not photo.upright or rng.random() < 0.2):
        return 0.0
    return rng.normal(0, spread) - photo.tilt


def portrait(scene: Scene, near: bool = False) -> None:
    """One person from the head down to somewhere between chest and feet.

    Args:
        scene: Where they go.
        near: To somewhere between neck and hips, the top of the head perhaps cut off, arms lowered most of the time.
    """
    rng = scene.rng
    highest, least, most, max_zoom = (-0.08, 0.4, 1.2, MAX_ZOOM_NEAR) if near else (0.02, 0.5, 2, MAX_ZOOM)
    for _ in range(20):
        photo = scene.draw_photo()
        if not photo.upright or (near and not photo.lowered and rng.random() < 0.7):
            continue
        above = rng.uniform(highest, 0.3) * scene.height
        zoom = (scene.height - above) / (photo.trunk * np.exp(rng.uniform(np.log(least), np.log(most))))
        if zoom > max_zoom:
            continue
        angle, flip = straight(rng, photo, 8, always=True), bool(rng.random() < 0.5)
        if flip:
            angle = -angle
        matrix = placed(photo, zoom, angle, flip, HEAD_TOP, (rng.uniform(0.3, 0.7) * scene.width, above))
        natural = rng.random() < 0.5
        if natural:
            scene.lay_background(photo, matrix)
        else:
            scene.lay_any_background()
            scene.add_things(rng.integers(0, 6))
        if scene.add_person(photo, matrix, natural):
            return


def group(scene: Scene, number: int) -> None:
    """People of about one size, anywhere, before another photograph or things."""
    rng = scene.rng
    if number and rng.random() < 0.3:  # with the photograph's own person
        photo = scene.draw_photo()
        zoom = max(scene.width / photo.image.shape[1], scene.height / photo.image.shape[0]) * rng.uniform(0.9, 1.6)
        at = rng.uniform(0.3, 0.7, 2) * (scene.width, scene.height)
        matrix = placed(photo, zoom, rng.normal(0, 5), bool(rng.random() < 0.5), PELVIS, at)
        scene.lay_background(photo, matrix)
        number -= scene.add_person(photo, matrix, natural=True)
    else:
        scene.lay_any_background()
        scene.add_things(rng.integers(0, 12))
    common = np.exp(rng.uniform(np.log(0.18), np.log(1.8)))
    for _ in range(4 * number):
        photo = scene.draw_photo()
        height = common * rng.uniform(0.75, 1.3)  # of the whole person, as a share of the picture's
        zoom = height * scene.height / 2 / max(photo.trunk, 1)
        flip = bool(rng.random() < 0.5)
        angle = straight(rng, photo, 12) * (-1 if flip else 1)
        top = rng.uniform(min(0.02, 0.8 - height / 2), max(0.4, 1 - height))
        at = (rng.uniform(0.02, 0.98) * scene.width, top * scene.height)
        if zoom < MAX_ZOOM and scene.add_person(photo, placed(photo, zoom, angle, flip, HEAD_TOP, at)):
            number -= 1
        if not number:
            break


def compose(
    index: int, seed: int, photos: list[Photograph], portraits: bool = False
) -> tuple[np.ndarray, list[Person]]:
    """Picture number ``index`` and who is in it, always the same for a seed; any scene, or a near portrait."""
    rng = np.random.default_rng((seed, index))
    scene = Scene(rng, photos)
    if portraits:
        portrait(scene, near=True)
    elif (kind := rng.random()) < 0.35:
        portrait(scene)
    else:
        group(scene, 0 if kind < 0.42 else int(rng.choice((1, 2, 3, 4, 5), p=(0.4, 0.25, 0.15, 0.1, 0.1))))
    return scene.finish(), scene.people()


_photos: list[Photograph] = []  # of each process


def _begin(photos: list[Photograph]) -> None:
    cv2.setNumThreads(1)
    _photos[:] = photos


def _write(index: int, seed: int, images: Path, portraits: bool) -> tuple[dict, list[Person]]:
    image, people = compose(index, seed, _photos, portraits)
    name = f'{index:06d}.jpg'
    quality = 40 + index * 7 % 56
    (images / name).write_bytes(cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes())
    return {'id': index, 'file_name': name, 'width': image.shape[1], 'height': image.shape[0]}, people


def _write_json(content: dict | list, path: Path) -> None:
    unfinished = path.with_name(path.name + '.partial')
    unfinished.write_text(json.dumps(content))
    unfinished.rename(path)


def main(data: Path, out: Path, count: int, seed: int, processes: int, portraits: bool) -> None:
    source = data / 'annotations/mpii_train.json'
    if not source.is_file():
        raise SystemExit(f'{source} is missing: --data is a folder in the layout of MPII, see configs/lspet/README.md')
    images, annotations = out / 'images', out / 'annotations'
    for folder in (images, annotations):
        folder.mkdir(parents=True, exist_ok=True)
    people = json.loads(source.read_text())
    with multiprocessing.Pool(processes, _begin, ([],)) as pool:
        read = pool.imap(partial(read_photograph, images=data / 'images'), people, chunksize=16)
        try:
            photos = [photo for photo in tqdm(read, 'people cut out', len(people)) if photo]
        except FileNotFoundError as error:
            raise SystemExit(str(error)) from error
    if not any(photo.upright for photo in photos):
        raise SystemExit(f'{source}: nobody who is upright could be cut out of the pictures in {data / "images"}')
    with multiprocessing.Pool(processes, _begin, (photos,)) as pool:
        write = partial(_write, seed=seed, images=images, portraits=portraits)
        pictures = list(tqdm(pool.imap(write, range(count), chunksize=16), 'pictures', count))
    everybody = [(picture, person) for picture, people in pictures for person in people]
    coco = {
        'images': [picture for picture, _ in pictures],
        'annotations': [person.to_coco(picture['id'], n) for n, (picture, person) in enumerate(everybody, 1)],
        'categories': [{'id': 1, 'name': 'person'}],
    }
    _write_json(coco, annotations / 'person_boxes_train.json')
    _write_json(
        [person.to_mpii(picture['file_name']) for picture, person in everybody], annotations / 'mpii_train.json'
    )
    print(f'{out}: {len(everybody)} people in {count} pictures, of {len(photos)} cut out of {len(people)}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--data', type=Path, required=True, help='photographs of one person each, in the layout of MPII'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for images/ and annotations/')
    parser.add_argument('--count', type=int, default=12000, help='pictures to compose')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--portraits', action='store_true', help='near portraits only, for a pose network; enlarged too far for others'
    )
    parser.add_argument('--processes', type=int, default=multiprocessing.cpu_count())
    main(**vars(parser.parse_args()))
