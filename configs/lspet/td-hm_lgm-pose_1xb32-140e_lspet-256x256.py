# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_lgm-pose_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(type='LGMPose', img_size=(_base_.size, _base_.size)),
    neck=dict(type='SFusionNeck'),
    head=dict(in_channels=64, out_channels=16, deconv_out_channels=None, decoder=_base_.codec))
