# COCO_ROOT=/path/to/coco mim train mmpose configs/hevitpose/td-hm_hevitpose-b_2xb64-210e_coco-256x256.py --gpus 2 --launcher pytorch
_base_ = ['./_base_/hevitpose.py', '../_base_/datasets/coco_256x256.py']

train_cfg = dict(max_epochs=210, val_interval=10)
auto_scale_lr = dict(base_batch_size=128)
train_dataloader = dict(batch_size=64)
model = dict(head=dict(decoder=_base_.codec))
