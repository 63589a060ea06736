"""Files that are whole or not there: atomic writes, hashes, and where the package's own files are."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
LFS = b'version https://git-lfs.github.com/spec/'
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def zoo_root() -> Path:
    """Folder of ``model-index.yml`` and ``configs``: ``.mim`` in an installed package, else the repository."""
    for root in (PACKAGE / '.mim', PACKAGE.parent):
        if (root / 'model-index.yml').is_file():
            return root
    raise FileNotFoundError(f'no model-index.yml in {PACKAGE / ".mim"} or {PACKAGE.parent}: install mmpose_lite again')


def check_content(path: str | Path, content: bytes | None = None) -> None:
    """Notice a pointer of Git LFS in the place of a file, by its content where that was read already.

    Raises:
        ValueError: If it is one.
    """
    if content is None and os.path.isfile(path):  # a pipe can be read once only
        with open(path, 'rb') as file:
            content = file.read(len(LFS))
    if content and content.startswith(LFS):
        raise ValueError(f'{path} is a pointer of Git LFS, not the file: run `git lfs pull` where it comes from')


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Name the file that a full disk has no room for, and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f'no room left to write {path}: free disk space; a resumed run goes on from there'
            raise OSError(error.errno, message) from error
        if isinstance(error, IsADirectoryError):
            raise IsADirectoryError(f'{path} is a folder, where a result should go: write elsewhere') from error
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise FileNotFoundError(f'{path} cannot be written: its folder was deleted meanwhile') from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path ``<name>.partial`` to write to; it is renamed to ``path`` on success and removed otherwise."""
    partial = path.with_name(f'{path.name}.partial')
    try:
        with naming_full_disk(path):
            yield partial
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def atomic_write(path: str | Path, content: bytes) -> None:
    """Write ``path.partial``, flush it to the disk and rename it: a file under its final name is always complete."""
    partial = Path(f'{path}.partial')
    with partial.open('wb') as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a power failure could leave the new name with nothing in it
    os.replace(partial, path)
