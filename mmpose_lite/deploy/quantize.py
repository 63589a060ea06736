"""Lower precision on CPUs: what bfloat16 costs, and int8 with its accuracy before and after."""

import contextlib
import io
import logging
import os
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..inference.files import IMAGE_SUFFIXES, read_image
from ..json_file import read_json
from ..runtime import PoseModel
from ..runtime.contract import KEY

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shift:
    """How far keypoints move in lower precision, in pixels of the crop.

    Attributes:
        median: Half of the keypoints move less.
        p95: 19 of 20 keypoints move less.
        largest: The most that any moves; on a heatmap of two peaks that is from one to the other.
        keypoints: How many there were.
    """

    median: float
    p95: float
    largest: float
    keypoints: int

    def __str__(self) -> str:
        return (
            f'{self.keypoints} keypoints move by {self.median:.3f} px (median), {self.p95:.3f} px (19 of 20 by less), '
            f'{self.largest:.2f} px (largest), in pixels of the crop'
        )


def measure_shift(exact: PoseModel, other: PoseModel, crops: np.ndarray) -> Shift:
    """Compare the keypoints of two models of one network.

    Args:
        exact: In float32.
        other: In lower precision.
        crops: (N, H, W, 3) BGR uint8 in their input size.
    """
    moved = np.linalg.norm(exact(crops)[0] - other(crops)[0], axis=2).ravel()
    return Shift(*np.percentile(moved, (50, 95, 100)).tolist(), len(moved))


@dataclass(frozen=True)
class People:
    """Labelled people: COCO annotations and the folder of their pictures.

    Of several categories the one whose ``keypoints`` the model has counts, whatever its id.
    """

    annotations: Path
    images: Path

    def read(self, num_keypoints: int) -> dict:
        """The labels that can be scored: whole people with this many keypoints, in COCO's format.

        An ``area`` that is missing is half of the box, as ``configs/own_data`` recommends.

        Raises:
            ValueError: If the file is not COCO keypoints, or nobody in it has these keypoints.
        """
        try:
            content = read_json(self.annotations)
            images = {image['id']: image for image in content['images']}
            people, counts = defaultdict(list), Counter()
            for person in content['annotations']:
                points = np.array(person.get('keypoints') or [], dtype=float).ravel()
                counts[points.size // 3] += 1
                if points.size != 3 * num_keypoints or person.get('iscrowd') or not (points[2::3] > 0).any():
                    continue
                _, _, width, height = box = [float(value) for value in person['bbox']]
                if not (width > 0 and height > 0 and np.isfinite([*box, *points]).all()):
                    continue
                area = person.get('area')
                if not (isinstance(area, int | float) and 0 < area < np.inf):
                    area = width * height / 2
                if 'file_name' not in images.get(person['image_id'], ()):
                    raise ValueError(f'image_id {person["image_id"]} of a person is not among its images')
                category = person.get('category_id', 1)
                labelled = dict(num_keypoints=int((points[2::3] > 0).sum()), keypoints=points.tolist())
                row = dict(person, bbox=box, area=area, iscrowd=0, category_id=category, **labelled)
                people[category].append(row)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(
                f'{self.annotations} is not a COCO keypoint file ({type(error).__name__}: {error}): check the labels'
            ) from error
        if not people:
            other = {number: count for number, count in counts.items() if number not in (0, num_keypoints)}
            if other:
                number = max(other, key=other.get)
                raise ValueError(
                    f'{self.annotations} labels {number} keypoints, the model has {num_keypoints}: name labels of its '
                    'kind'
                )
            raise ValueError(f'{self.annotations} labels nobody: name a COCO keypoint file with people')
        category = max(people, key=lambda name: len(people[name]))
        rows = [dict(row, id=number) for number, row in enumerate(people[category], 1)]
        return dict(images=list(images.values()), annotations=rows, categories=[dict(id=category, name='person')])

    def boxes(self, num_keypoints: int) -> dict[str, list]:
        """For each picture that has people its image id and their boxes (N, 4) as x1, y1, x2, y2."""
        content, found = self.read(num_keypoints), defaultdict(list)
        names = {image['id']: image['file_name'] for image in content['images'] if 'file_name' in image}
        for person in content['annotations']:
            x, y, width, height = person['bbox']
            found[names[person['image_id']]].append((person['image_id'], (x, y, x + width, y + height)))
        return found

    def average_precision(self, model: PoseModel) -> float:
        """COCO's AP (OKS 0.50 to 0.95) of a model with these boxes, from 0 to 1.

        Raises:
            FileNotFoundError: If a picture is missing.
            ValueError: If the labels have other keypoints than the model.
        """
        from xtcocotools.coco import COCO
        from xtcocotools.cocoeval import COCOeval

        content, results = self.read(model.num_keypoints), []
        category = content['categories'][0]['id']
        for name, people in tqdm(self.boxes(model.num_keypoints).items(), desc='scoring', unit='image'):
            image = read_image(Path(self.images) / name)
            keypoints, scores = model.estimate(image, np.array([box for _, box in people]))
            for (image_id, _), points, heights in zip(people, keypoints, scores, strict=True):
                rows = np.column_stack((points, heights)).astype(float).ravel().tolist()
                result = dict(image_id=image_id, category_id=category, keypoints=rows, score=float(heights.mean()))
                results.append(result)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints tables
            truth = COCO()
            truth.dataset = content
            truth.createIndex()
            sigmas = np.array(model.contract.sigmas)[list(model.contract.kept)]
            scoring = COCOeval(truth, truth.loadRes(results), 'keypoints', sigmas, use_area=True)
            scoring.evaluate()
            scoring.accumulate()
            scoring.summarize()
        return float(scoring.stats[0])


def calibration_crops(
    folder: str | Path, model: PoseModel, people: People | None = None, most: int = 300
) -> np.ndarray:
    """Crops (N, H, W, 3) BGR uint8 that stand for what the network will see.

    Args:
        folder: Of images. Where one is named in the labels its people are cut out, else it is taken whole.
        model: Whose crops.
        people: The labels.
        most: Crops at most.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        ValueError: If none of the images can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'calibration folder {folder} does not exist: check the path')
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f'calibration folder {folder} has no image in it: put 100 or more typical ones there')
    labelled = people.boxes(model.num_keypoints) if people else {}
    known = {Path(name).name: found for name, found in labelled.items()}  # labels may name folders
    if known and not known.keys() & {path.name for path in paths}:
        logger.warning('no picture of %s is in the labels: they are taken whole', folder)
    crops: list[np.ndarray] = []
    for path in paths:
        try:
            image = read_image(path)
        except ValueError as error:
            logger.warning('%s: left out', error)
            continue
        boxes = [box for _, box in known.get(path.name, [])] or [(0, 0, *image.shape[1::-1])]
        geometry = model.cropper.geometry(np.array(boxes, dtype=np.float32))
        crops.extend(model.cropper.crop([image] * len(boxes), *geometry))
        if len(crops) >= most:
            break
    if not crops:
        raise ValueError(f'no image in {folder} can be read: put 100 or more typical ones there')
    return np.stack(crops[:most])


@dataclass(frozen=True)
class Quantized:
    """What became of a quantization.

    Attributes:
        path: The ``.xml`` file, ``None`` if it was refused.
        before: AP of the float32 file.
        after: AP in int8.
        shift: How far keypoints of the calibration crops move.
    """

    path: Path | None
    before: float
    after: float
    shift: Shift


def quantize(
    path: str | Path,
    calibration: str | Path,
    out: str | Path,
    people: People,
    max_drop: float,
    threads: int | None = None,
) -> Quantized:
    """Write an exported network in int8 (NNCF's post-training quantization) as OpenVINO's ``.xml`` and ``.bin``.

    Args:
        path: ``.onnx`` file of ``mmpose-lite export``.
        calibration: Folder of typical images; see :func:`calibration_crops`.
        out: File to write, ``.xml``.
        people: Labelled people that it is scored on.
        max_drop: Most AP that may be lost, from 0 to 1; where more is lost nothing is written.
        threads: Of the CPU.

    Raises:
        ImportError: If NNCF or OpenVINO is not installed.
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a file is not what it should be, or nothing is right before already.
    """
    out = Path(out)
    if out.suffix != '.xml':
        raise ValueError(f'{out} must end in .xml; OpenVINO writes a .bin beside it')
    if not 0 <= max_drop <= 1:
        raise ValueError(f'max_drop={max_drop} must be from 0 to 1, as AP is')
    exact = PoseModel(path, 'openvino', threads)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it announces what it found
            import nncf
    except ImportError as error:
        raise ImportError("nncf is not installed: pip install 'mmpose_lite[int8]'") from error
    import openvino

    crops = calibration_crops(calibration, exact, people)
    before = people.average_precision(exact)
    if not before > 0:
        raise ValueError(
            f'AP is {before:.4f} before: what int8 costs cannot be seen on {people.annotations}. Name labels of '
            'what the network has learned, with the boxes and pictures that belong to them'
        )
    logging.getLogger('nncf').setLevel(logging.ERROR)
    network = openvino.Core().read_model(path)
    network.reshape({0: [1, 3, *exact.input_size[::-1]]})
    data = nncf.Dataset([exact.normalize(crops[i : i + 1]) for i in range(len(crops))])
    with contextlib.redirect_stdout(io.StringIO()):
        small = nncf.quantize(
            network, data, preset=nncf.QuantizationPreset.MIXED, subset_size=len(crops), fast_bias_correction=True
        )
    small.reshape({0: [-1, 3, *exact.input_size[::-1]]})
    versions = exact.contract.versions | dict(nncf=nncf.__version__, openvino=openvino.__version__)
    small.set_rt_info(replace(exact.contract, precision='int8', versions=versions).to_json(), [KEY])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.stem}.') as folder:
        partial = Path(folder) / out.name
        openvino.save_model(small, partial, compress_to_fp16=False)
        model = PoseModel(partial, 'openvino', threads)
        after, shift = people.average_precision(model), measure_shift(exact, model, crops)
        if not before - after <= max_drop:  # NaN too
            return Quantized(None, before, after, shift)
        del model
        os.replace(partial.with_suffix('.bin'), out.with_suffix('.bin'))
        os.replace(partial, out)
    return Quantized(out, before, after, shift)
