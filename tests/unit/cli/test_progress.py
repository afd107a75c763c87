"""Progress where there is no terminal."""

import io
from dataclasses import dataclass

from rich.console import Console

from cli.progress import progress_bar, watch


@dataclass(frozen=True)
class At:
    step: int
    steps: int
    loss: float | None = None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(steps: int, seconds: float) -> list[str]:
    """What a training prints whose steps take that long each."""
    printed, clock = io.StringIO(), Clock()
    console = Console(file=printed, force_terminal=False)
    with progress_bar("adapter", console=console, clock=clock) as on_step:
        for step in range(1, steps + 1):
            clock.now += seconds
            on_step(At(step, steps, 0.5))
    return printed.getvalue().splitlines()


def test_a_line_now_and_then_says_how_far_it_is_and_how_long_it_takes() -> None:
    said = lines(200, 1.0)
    # A tenth takes twenty seconds.
    assert said[0] == "adapter: step 20 of 200, about 3 min left, loss 0.500"
    assert said[1].startswith("adapter: step 40 of 200")
    assert said[-1] == "adapter: 200 steps, loss 0.500"
    assert len(said) == 11


def test_what_is_quick_is_one_line() -> None:
    assert lines(200, 0.04) == ["adapter: 200 steps, loss 0.500"]


def test_tenths_that_pass_quickly_wait_for_ten_seconds() -> None:
    assert [line.split(",")[0] for line in lines(100, 0.5)[:-1]] == [
        f"adapter: step {step} of 100" for step in (20, 40, 60, 80, 100)
    ]


def test_tenths_that_take_long_are_not_waited_for() -> None:
    assert [line.split(",")[0] for line in lines(1000, 3.0)[:2]] == [
        "adapter: step 20 of 1000",
        "adapter: step 40 of 1000",
    ]


def test_nothing_that_happened_is_no_line() -> None:
    printed = io.StringIO()
    with progress_bar("levels", console=Console(file=printed, force_terminal=False)):
        pass
    assert printed.getvalue() == ""


def watched(console: Console, *texts: str) -> None:
    with watch("forgetting", console=console) as show:
        for text in texts:
            show(text)


def test_what_others_do_is_followed_on_a_terminal_only() -> None:
    silent, terminal = io.StringIO(), io.StringIO()
    watched(Console(file=silent, force_terminal=False), "waits", "refit: fit 3/10")
    assert silent.getvalue() == ""
    console = Console(file=terminal, force_terminal=True, width=120)
    watched(console, "waits", "refit: fit 3/10", "refit: fit 4/10")
    assert "forgetting: refit: fit" in terminal.getvalue()


def test_no_bar_is_drawn_on_a_terminal_that_others_write_to() -> None:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=True, _environ={"TTY_INTERACTIVE": "0"})
    with progress_bar("levels", console=console) as on_step:
        on_step(At(1, 1, 0.5))
    assert printed.getvalue().strip() == "levels: 1 steps, loss 0.500"
