# Ground-truth person boxes in place of detected ones.
_base_ = '../td-hm_hevitpose-b_2xb64-210e_coco-256x256.py'

val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
