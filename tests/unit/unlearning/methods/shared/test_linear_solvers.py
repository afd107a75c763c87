import pytest
import torch
from torch import Tensor

from unlearning.methods.shared.linear_solvers import (
    Product,
    Solution,
    conjugate_gradient,
    minimise_quadratic,
    relative_residual,
)

POSITIVE = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
B = torch.tensor([1.0, 2.0], dtype=torch.float64)


def times(matrix: Tensor) -> Product:
    return lambda vector: matrix @ vector


def solve(matrix: Tensor, b: Tensor = B, iterations: int = 10, tolerance: float = 1e-9) -> Solution:
    return conjugate_gradient(times(matrix), b, iterations=iterations, tolerance=tolerance)


def test_two_steps_solve_two_equations() -> None:
    # 4 x + y = 1 and x + 3 y = 2: x = 1/11, y = 7/11.
    found = solve(POSITIVE)
    torch.testing.assert_close(found.x, torch.tensor([1 / 11, 7 / 11], dtype=torch.float64))
    assert (found.iterations, found.negative_curvature) == (2, False)
    assert relative_residual(times(POSITIVE), found.x, B) < 1e-9


def test_the_first_step_is_the_steepest_descent_step() -> None:
    # b b = 5, b M b = 4 + 4 + 12 = 20: the step is b / 4. M b / 4 = (6, 7) / 4, so the residual is (2, -1) / 4.
    found = solve(POSITIVE, iterations=1)
    torch.testing.assert_close(found.x, B / 4)
    assert relative_residual(times(POSITIVE), found.x, B) == pytest.approx(1 / 4)
    # A quarter is good enough for a tolerance of 0.3.
    assert solve(POSITIVE, tolerance=0.3).iterations == 1


def test_negative_curvature_ends_the_search_with_the_last_iterate() -> None:
    # First d = (1, 1) with d M d = 1, so x = (2, 2); then d = (-3, 3) + 9 (1, 1) = (6, 12) with d M d = -72.
    saddle, b = torch.diag(torch.tensor([2.0, -1.0], dtype=torch.float64)), torch.ones(2, dtype=torch.float64)
    found = solve(saddle, b)
    assert found.x.tolist() == [2.0, 2.0]
    assert (found.iterations, found.negative_curvature) == (1, True)
    assert relative_residual(times(saddle), found.x, b) == pytest.approx(3.0)


def test_negative_curvature_at_once_changes_nothing() -> None:
    found = solve(-POSITIVE)
    assert found.x.tolist() == [0.0, 0.0]
    assert (found.iterations, found.negative_curvature) == (0, True)
    assert relative_residual(times(-POSITIVE), found.x, B) == 1.0


def test_nothing_to_solve_for_gives_nothing() -> None:
    zero = torch.zeros(2, dtype=torch.float64)
    assert solve(POSITIVE, zero).x.tolist() == [0.0, 0.0]
    assert relative_residual(times(POSITIVE), zero, zero) == 0.0


def test_the_quadratic_has_the_same_solution_if_the_walk_is_long_enough() -> None:
    short = minimise_quadratic(times(POSITIVE), B, iterations=1, lr=1e-3)
    torch.testing.assert_close(short.x, torch.full((2,), 1e-3, dtype=torch.float64))
    assert relative_residual(times(POSITIVE), short.x, B) > 0.99
    long = minimise_quadratic(times(POSITIVE), B, iterations=300, lr=3e-2)
    torch.testing.assert_close(long.x, solve(POSITIVE).x, rtol=0, atol=1e-3)
