"""How exactly products of float32 are computed on a GPU: one setting for matrix products and convolutions."""

from __future__ import annotations

__all__ = ["FLOAT32_PRODUCTS", "tf32"]

FLOAT32_PRODUCTS = ["highest"]
"""The one setting: "highest" is IEEE float32; "high" and "medium" allow TF32, with 10 bits after the point."""


def tf32() -> bool:
    """Whether the operands of a float32 product may be cut to TF32."""
    return FLOAT32_PRODUCTS[0] != "highest"
