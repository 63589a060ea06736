# The backbone under RTMPose's head, which classifies coordinates (SimCC); not in the paper.
# COCO_ROOT=/path/to/coco mim train mmpose configs/hevitpose/td-simcc_hevitpose-t_1xb32-210e_coco-256x256.py
_base_ = ['./_base_/hevitpose.py', '../_base_/datasets/coco_256x256.py']

simcc = dict(
    type='SimCCLabel',
    input_size=(256, 256),
    sigma=(5.66, 5.66),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False)
codec = dict(_delete_=True, **simcc)

train_cfg = dict(max_epochs=210, val_interval=10)
auto_scale_lr = dict(base_batch_size=32)
model = dict(
    backbone=dict(widths=(64, 128, 192)),
    head=dict(
        _delete_=True,
        type='RTMCCHead',
        in_channels=192,
        out_channels=17,
        input_size=simcc['input_size'],
        in_featuremap_size=(16, 16),  # stride 16
        simcc_split_ratio=simcc['simcc_split_ratio'],
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
        decoder=simcc),
    test_cfg=dict(_delete_=True, flip_test=True))

train_pipeline = _base_.train_pipeline
train_pipeline[6] = dict(type='GenerateTarget', encoder=simcc)  # an update would keep keys of the old codec
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
