"""Checkpoints from elsewhere: whatever MMEngine can name is read as :mod:`mmpose_lite.checkpoint` reads files."""

from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.runner import checkpoint as upstream

from ..checkpoint import CheckpointError, load_from_local, published_hash, split_hash


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: str | torch.device | None = None,
    progress: bool = True,
) -> dict:
    """Download a checkpoint, unless it is in the cache, and load it with torch's safe loader or safetensors.

    Args:
        url: Its address. The file must have the hash that is given with ``#sha256=HASH`` behind the address, or else
            by a name of the form ``NAME-<8 digits>.EXT``, as torch.hub has them.
        model_dir: The cache; that of torch.hub by default.
        map_location: As in :func:`torch.load`.
        progress: Whether to show a progress bar.

    Raises:
        OSError: If it cannot be downloaded.
        CheckpointError: If the file has another hash, is damaged, or would run code when unpickled.
    """
    address, expected = split_hash(url)
    path = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'), Path(urlparse(address).path).name)
    expected = expected or published_hash(path.name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(address, str(path), expected, progress)
        except OSError as error:
            raise OSError(f'cannot download {address} ({error}): download it yourself and give the file') from error
        except RuntimeError as error:
            raise CheckpointError(f'{address} is not the file that it should be: {error}') from error
    return load_from_local(f'{path}#sha256={expected}' if expected else str(path), map_location)


def load_from_openmmlab(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Load what a name of OpenMMLab's lists stands for: an address, or a file in MMEngine's folder."""
    name = filename.partition('://')[2]
    name = upstream.get_deprecated_model_names().get(name, name)
    models = upstream.get_external_models()
    if name not in models:
        raise ValueError(f'{filename} is not in the lists of OpenMMLab: check the name, or give a file or an address')
    if models[name].startswith(('http://', 'https://')):
        return upstream.load_from_http(models[name], map_location)
    return load_from_local(str(Path(upstream._get_mmengine_home(), models[name])), map_location)


def load_from_storage(filename: str, map_location: str | torch.device | None = None) -> dict:
    """Refuse what MMEngine would unpickle without a look: objects in a cloud storage."""
    raise CheckpointError(f'checkpoint {filename} cannot be read safely from there: download it and give the file')


def use_safe_loaders() -> None:
    """Put these in the place of MMEngine's."""
    upstream.load_url = load_url  # below http://, https://, torchvision://, modelzoo://, mmcls://
    register = upstream.CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register(['open-mmlab://', 'openmmlab://'], load_from_openmmlab, force=True)
    register(['pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], load_from_storage, force=True)
