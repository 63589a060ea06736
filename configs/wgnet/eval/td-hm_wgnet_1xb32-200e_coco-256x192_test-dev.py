# COCO test-dev: writes work_dirs/<this name>/test-dev.keypoints.json for the evaluation server.
_base_ = ['../td-hm_wgnet_1xb32-200e_coco-256x192.py', '../../_base_/datasets/coco_test-dev.py']

test_dataloader = dict(dataset=_base_.test_dev_dataset)
test_evaluator = dict(outfile_prefix='work_dirs/{{ fileBasenameNoExtension }}/test-dev', **_base_.test_dev_evaluator)
