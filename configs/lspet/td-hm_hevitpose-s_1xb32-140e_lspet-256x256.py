# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_hevitpose-s_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(type='HEViTPose', widths=(128, 192, 224), groups=(4, 3, 2)),
    head=dict(
        in_channels=224,
        out_channels=16,
        deconv_out_channels=(192, 96),
        deconv_kernel_sizes=(4, 4),
        decoder=_base_.codec))
