"""Two solvers of M x = b that need M only as a product with vectors. Vectors are float64 [n]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unlearning.errors import Diverged

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """The last iterate, the number of iterations, and whether negative curvature ended them."""

    x: Tensor
    iterations: int
    negative_curvature: bool = False


def conjugate_gradient(product: Product, b: Tensor, *, iterations: int, tolerance: float) -> Solution:
    """Hestenes and Stiefel's method from x = 0, until the residual's norm is `tolerance` times the norm of b.

    M must be positive definite. If a direction d disproves that (d M d <= 0), the iteration ends with the iterate
    before it, which minimises the quadratic over all earlier directions; at the first iteration that is 0.
    """
    x, residual = torch.zeros_like(b), b.clone()
    direction, square = b.clone(), float(b @ b)
    goal = square * tolerance**2
    for iteration in range(iterations):
        if square <= goal:
            return Solution(x, iteration)
        image = product(direction)
        curvature = float(direction @ image)
        if not math.isfinite(curvature):
            raise Diverged("a curvature product is not finite; the adapter or the damping is out of range")
        if curvature <= 0:
            return Solution(x, iteration, negative_curvature=True)
        length = square / curvature
        x = x + length * direction
        residual = residual - length * image
        previous, square = square, float(residual @ residual)
        direction = residual + (square / previous) * direction
    return Solution(x, iterations)


def minimise_quadratic(product: Product, b: Tensor, *, iterations: int, lr: float) -> Solution:
    """Adam on x M x / 2 - b x from x = 0; `product` may be noisy (another batch each time).

    No coordinate moves by much more than `iterations * lr`, so check the residual before using the result.
    """
    x = torch.nn.Parameter(torch.zeros_like(b))
    optimiser = torch.optim.Adam([x], lr=lr)
    for _ in range(iterations):
        x.grad = product(x.detach()) - b
        optimiser.step()
    return Solution(x.detach(), iterations)


def relative_residual(product: Product, solution: Tensor, b: Tensor) -> float:
    """||M x - b|| / ||b||: 0 for the exact solution, 1 for x = 0, and 0 where b = 0 = x."""
    scale = float(b.norm())
    return float((product(solution) - b).norm()) / scale if scale > 0 else 0.0
