# Ground-truth person boxes in place of detected ones.
_base_ = '../td-hm_lgm-pose_1xb32-260e_coco-256x192.py'

val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
