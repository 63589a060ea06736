# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-hm_lite-hrnet-18_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
model = dict(
    backbone=dict(
        type='LiteHRNet',
        in_channels=3,
        extra=dict(
            stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
            num_stages=3,
            stages_spec=dict(
                num_modules=(2, 4, 2),
                num_branches=(2, 3, 4),
                num_blocks=(2, 2, 2),
                module_type=('LITE', 'LITE', 'LITE'),
                with_fuse=(True, True, True),
                reduce_ratios=(8, 8, 8),
                num_channels=((40, 80), (40, 80, 160), (40, 80, 160, 320))),
            with_head=True)),
    head=dict(in_channels=40, out_channels=16, deconv_out_channels=None, decoder=_base_.codec))
