"""Rectangles in a scan, which both the painted area and the crops are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top
