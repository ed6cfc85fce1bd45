"""The 1,797 real handwritten digits that scikit-learn carries, enlarged from 8x8 to 32x32."""

from __future__ import annotations

import numpy as np

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.transforms.resize import resample_matrix

CLASSES = tuple("0123456789")


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) resampled bilinearly to (N, size, size) float64."""
    rows, cols = resample_matrix(images.shape[1], size), resample_matrix(images.shape[2], size)
    return rows @ images @ cols.T


def load_digits(size: int = 32) -> Splits:
    """The digits in [0, 1] as (N, 1, size, size) float32, 1,437 for training and 360 for the test.

    The split is stratified and always the same. At size 32 every pixel is a multiple of 1/1024, so float64 and float32
    hold it exactly and the data has the same bits on every machine.
    """
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    raw = sklearn_digits()
    images = (enlarge(raw.images, size) / 16).astype(np.float32)[:, None]
    rows = np.arange(len(images))
    train, test = train_test_split(rows, test_size=0.2, stratify=raw.target, random_state=0)
    return Splits(*(ArrayDataset(images[part], raw.target[part], CLASSES, "digits") for part in (train, test)))
