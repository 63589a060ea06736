# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_greit-hrnet-18_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(type='GreitHRNet', num_modules=(2, 4, 2)),
    head=dict(in_channels=40, out_channels=16, deconv_out_channels=None, decoder=_base_.codec))
