# WFLW_ROOT=/path/to/wflw mim train mmpose configs/beyond_people/td-hm_hevitpose-t_1xb32-210e_wflw-256x256.py
_base_ = ['../hevitpose/_base_/hevitpose.py', '../_base_/datasets/wflw_256x256.py']

train_cfg = dict(max_epochs=210, val_interval=10)
auto_scale_lr = dict(base_batch_size=32)
model = dict(
    backbone=dict(widths=(64, 128, 192)),
    head=dict(in_channels=192, out_channels=98, decoder=_base_.codec))
