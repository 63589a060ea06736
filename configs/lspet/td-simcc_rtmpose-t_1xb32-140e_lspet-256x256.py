# MPII_ROOT=/path/to/lspet mim train mmpose configs/lspet/td-simcc_rtmpose-t_1xb32-140e_lspet-256x256.py
_base_ = './_base_/lspet.py'

train_cfg = dict(max_epochs=_base_.epochs, val_interval=10)
codec = dict(
    type='SimCCLabel',
    input_size=(_base_.size, _base_.size),
    sigma=(5.66 * _base_.size / 256,) * 2,
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
    _delete_=True)
model = dict(
    backbone=dict(
        _scope_='mmdet',
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.375,
        out_indices=(4,),
        channel_attention=True,
        act_cfg=dict(type='SiLU')),
    head=dict(
        _delete_=True,
        type='RTMCCHead',
        in_channels=384,
        out_channels=16,
        input_size=codec['input_size'],
        in_featuremap_size=(_base_.size // 32, _base_.size // 32),
        simcc_split_ratio=codec['simcc_split_ratio'],
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256,
            s=128,
            expansion_factor=2,
            dropout_rate=0.,
            drop_path=0.,
            act_fn='SiLU',
            use_rel_bias=False,
            pos_enc=False),
        loss=dict(type='KLDiscretLoss', use_target_weight=True, beta=10., label_softmax=True),
        decoder={k: v for k, v in codec.items() if k != '_delete_'}),
    test_cfg=dict(_delete_=True, flip_test=True))

train_pipeline = _base_.train_pipeline
train_pipeline[5] = dict(type='GenerateTarget', encoder=model['head']['decoder'])  # an update would merge
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
