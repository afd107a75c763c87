"""A method's card: its source, its cost, and which part of it is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CostClass = Literal["none", "forward", "gradient", "second_order", "refit"]


@dataclass(frozen=True)
class MethodCard:
    """Printed by `lethe bench unlearn --list-methods`.

    Attributes:
        title: the method's name as its authors write it.
        paper: where it was published, with an arXiv number or DOI; None for a control and for a method of our own.
        cost_class: `none` reads no sequence; `forward` needs forward passes only; `gradient` computes gradients;
            `second_order` multiplies with the Hessian; `refit` fits an adapter, or the adapter of a shard, anew.
        published_defaults: the settings its authors published; empty where none are known.
        reconstruction: what is ours and not the paper's; empty where nothing is.
        exact: whether the result has the distribution of training without the subjects.
        control: whether it is a trivial edit, kept in every table to be beaten.
    """

    title: str
    paper: str | None
    cost_class: CostClass
    published_defaults: str = ""
    reconstruction: str = ""
    exact: bool = False
    control: bool = False
