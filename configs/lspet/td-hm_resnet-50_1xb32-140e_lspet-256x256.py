# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_resnet-50_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(type='ResNet', depth=50),
    head=dict(in_channels=2048, out_channels=16, decoder=_base_.codec))
