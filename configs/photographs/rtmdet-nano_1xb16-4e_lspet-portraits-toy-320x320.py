# The person detector for photographs that ships: the other config's, taught what photographs of sports lack: portraits,
# and pictures of things (a dozen photographs that come with scikit-image and scikit-learn). Behind that one,
#   python tools/portraits.py --data /data/lspet --no-people THINGS --out data/portraits
#   LSPET_ROOT=/data/lspet TOY_ROOT=data/toy_mix PORTRAITS_ROOT=data/portraits mim train mmdet \
#       configs/photographs/rtmdet-nano_1xb16-4e_lspet-portraits-toy-320x320.py --amp --cfg-options \
#       optim_wrapper.dtype=bfloat16 load_from=FIRST/epoch_12.pth
# and `python tools/pack_weights.py` on the last checkpoint.
_base_ = './rtmdet-nano_1xb16-12e_lspet-toy-320x320.py'

max_epochs = 4
load_from = None

portrait_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=_base_.size, ratio_range=(0.5, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.size, allow_negative_crop=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=_base_.size, pad_val=dict(img=(114, 114, 114))),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            *_base_.train_dataloader.dataset.datasets,
            dict(
                type='CocoDataset', data_root='{{$PORTRAITS_ROOT:data/portraits}}', ann_file='annotations/train.json',
                data_prefix=dict(img='images/'), metainfo=dict(classes=('person', )), pipeline=portrait_pipeline),
        ]))

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=4e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=0, end=max_epochs, T_max=max_epochs, by_epoch=True,
         convert_to_iter_based=True),
]
