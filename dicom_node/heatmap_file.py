"""The heatmap as a small file of the job's own, which the worklist page lays over the radiograph.

It is never sent: what goes to the PACS shows it already, as colours in a page or as numbers.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dicom_node.db import JobFileRow
from dicom_node.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from dicom_node.finding import Refusal
    from dicom_node.storage import Storage

KIND: Final = "heatmap"


def keep_heatmap(storage: Storage, job_id: int, found: Finding | Refusal) -> list[JobFileRow]:
    """Keep a finding's heatmap on the network's own grid, as a PNG of 8 bits.

    Returns
    -------
    list of JobFileRow
        Its row, not yet in the database; none where there is no heatmap.

    Raises
    ------
    OSError
        If the disk fails.
    """
    if not isinstance(found, Finding) or not found.estimate.heatmap.size:
        return []
    levels = np.rint(np.clip(found.estimate.heatmap, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    path, sha256 = storage.keep_job_file(file.getvalue(), job_id, f"{KIND}.png")
    return [JobFileRow(job_id=job_id, kind=KIND, path=path, sha256=sha256)]


def read_heatmap(path: Path) -> npt.NDArray[np.float32] | None:
    """Return a heatmap that was kept, (h, w) in [0, 1], over the whole picture.

    None where its file is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
    except (OSError, ValueError):
        return None
