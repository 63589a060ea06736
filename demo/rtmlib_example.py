"""An exported file in rtmlib (pip install rtmlib), as it is and with what rtmlib does not know about it mended.

python demo/rtmlib_example.py FILE.onnx IMAGE

rtmlib's RTMPose class reads SimCC files and its ViTPose class heatmaps. Both normalize BGR pictures with the means of
RGB and turn no channels round; ViTPose decodes as UDP with DARK. Networks here take RGB and decode as their codec says.
Prints how far from mmpose_lite.runtime the keypoints are, in pixels of the picture.
"""

import argparse

import cv2
import numpy as np
from rtmlib import RTMPose, ViTPose

from mmpose_lite.runtime import PoseModel
from mmpose_lite.runtime.decode import decode


def mended(base: type, model: PoseModel) -> type:
    """A class of rtmlib that turns the channels round and decodes as the file's contract says."""

    class Mended(base):
        def preprocess(self, img, bbox):
            return super().preprocess(img[..., ::-1], bbox)

        def postprocess(self, outputs, center, scale):
            keypoints, scores = decode(outputs, model.contract)
            return keypoints / self.model_input_size * scale + center - scale / 2, scores

    return Mended


def main() -> None:
    """Compare on one picture, the whole of which is the person's box."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', metavar='FILE.onnx', help='written by mmpose-lite export')
    parser.add_argument('image', metavar='IMAGE', help='a picture of a person')
    arguments = parser.parse_args()

    model = PoseModel(arguments.file)
    image = cv2.imread(arguments.image)
    if image is None:
        parser.error(f'{arguments.image} is not an image')
    box = [0, 0, *image.shape[1::-1]]
    expected, _ = model.estimate(image, [box])
    base = RTMPose if model.contract.decoder == 'simcc' else ViTPose

    def distance(kind: type, picture: np.ndarray) -> str:
        pose = kind(arguments.file, model.input_size, model.contract.mean, model.contract.std, backend='onnxruntime')
        moved = np.linalg.norm(pose(picture, [box])[0] - expected, axis=2)
        return f'median {np.median(moved):.3f} px, largest {moved.max():.3f} px'

    print(f'as it is:                       {distance(base, image)}')
    print(f'given an RGB picture:           {distance(base, np.ascontiguousarray(image[..., ::-1]))}')
    print(f'and decoded as the file says:   {distance(mended(base, model), image)}')


if __name__ == '__main__':
    main()
