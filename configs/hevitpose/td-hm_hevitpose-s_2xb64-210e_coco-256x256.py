# COCO_ROOT=/path/to/coco mim train mmpose configs/hevitpose/td-hm_hevitpose-s_2xb64-210e_coco-256x256.py --gpus 2 --launcher pytorch
_base_ = './td-hm_hevitpose-b_2xb64-210e_coco-256x256.py'

model = dict(backbone=dict(widths=(128, 192, 224), groups=(4, 3, 2)), head=dict(in_channels=224))
