# The person detector that ships, as it runs; it was trained on Leeds Sports Pose Extended (mmpose_lite/weights/README.md).
_base_ = 'rtmdet-nano_2xb16-60e_coco-person-320x320.py'

size = (256, 256)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=size, interpolation='area')
test_pipeline[2].update(size=size)
# trained on blurred pictures: near people in its photographs were enlarged, and unsharp
test_pipeline.insert(2, dict(type='Blur', sigma=(1.7, 1.7)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
