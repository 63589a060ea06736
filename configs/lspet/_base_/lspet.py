# Networks side by side, all trained from scratch and alike: same people, augmentation, schedule, batch and seed.
# MPII_ROOT points at the Leeds Sports Pose Extended people in MPII's format (README.md beside tells how they are laid
# out). `python tools/study.py` trains and tests all of them. Its CPU protocol is the same files with
# STUDY_SIZE=128 STUDY_EPOCHS=40.
_base_ = ['../../_base_/topdown_heatmap.py', '../../_base_/datasets/mpii_256x256.py']

size = int('{{$STUDY_SIZE:256}}')
epochs = int('{{$STUDY_EPOCHS:140}}')
codec = dict(type='MSRAHeatmap', input_size=(size, size), heatmap_size=(size // 4, size // 4), sigma=size // 128)

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.001, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=0, end=epochs, T_max=epochs, eta_min=1e-5, by_epoch=True,
         convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=32)
randomness = dict(seed=0)

# a person's box is often the whole picture, so no shift
train_pipeline = _base_.train_pipeline
train_pipeline[3].update(shift_prob=0, rotate_factor=60, scale_factor=(0.75, 1.25))
train_pipeline[4].update(input_size=codec['input_size'])
train_pipeline[5].update(encoder=codec)
val_pipeline = _base_.val_pipeline
val_pipeline[2].update(input_size=codec['input_size'])
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
