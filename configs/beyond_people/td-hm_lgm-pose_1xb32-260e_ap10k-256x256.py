# AP10K_ROOT=/path/to/ap10k mim train mmpose configs/beyond_people/td-hm_lgm-pose_1xb32-260e_ap10k-256x256.py
_base_ = ['../lgm_pose/_base_/lgm_pose.py', '../_base_/datasets/ap10k_256x256.py']

train_cfg = dict(max_epochs=260, val_interval=10)
model = dict(backbone=dict(img_size=(256, 256)), head=dict(out_channels=17, decoder=_base_.codec))
