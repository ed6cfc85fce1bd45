"""The 1,797 real handwritten digits that scikit-learn carries, enlarged from 8x8 to 32x32."""

from __future__ import annotations

import numpy as np

from deepcore.data.dataset import ArrayDataset, Splits

CLASSES = tuple("0123456789")


def bilinear_matrix(size: int, new_size: int) -> np.ndarray:
    """(new_size, size) float64: rows that resample a line of pixels linearly, pixel centres at i + 0.5, edges held."""
    centre = np.clip((np.arange(new_size) + 0.5) * size / new_size - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(centre[:, None] - np.arange(size)))


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """(N, H, W) resampled bilinearly to (N, size, size) float64."""
    rows, cols = bilinear_matrix(images.shape[1], size), bilinear_matrix(images.shape[2], size)
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
