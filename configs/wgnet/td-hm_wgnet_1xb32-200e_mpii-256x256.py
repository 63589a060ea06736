# MPII_ROOT=/path/to/mpii mim train mmpose configs/wgnet/td-hm_wgnet_1xb32-200e_mpii-256x256.py
_base_ = ['./_base_/wgnet.py', '../_base_/datasets/mpii_256x256.py']

train_cfg = dict(max_epochs=200, val_interval=10)
model = dict(head=dict(out_channels=16, decoder=_base_.codec))
