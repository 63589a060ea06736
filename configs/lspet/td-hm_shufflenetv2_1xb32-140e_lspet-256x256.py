# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_shufflenetv2_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(type='ShuffleNetV2', widen_factor=1.0),
    head=dict(in_channels=1024, out_channels=16, decoder=_base_.codec))
