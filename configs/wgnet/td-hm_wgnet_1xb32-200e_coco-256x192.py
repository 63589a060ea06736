# COCO_ROOT=/path/to/coco mim train mmpose configs/wgnet/td-hm_wgnet_1xb32-200e_coco-256x192.py
_base_ = ['./_base_/wgnet.py', '../_base_/datasets/coco_256x192.py']

train_cfg = dict(max_epochs=200, val_interval=10)
model = dict(head=dict(decoder=_base_.codec))
