"""Every method by name. A new method is one file and one entry here; nothing registers itself on import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unlearning.errors import InvalidMethodConfig, UnknownMethod
from unlearning.methods.compared.cure.cure import Cure, CureConfig
from unlearning.methods.compared.e2urec import E2urec, E2urecConfig
from unlearning.methods.compared.gradient_ascent import GradientAscent, GradientAscentConfig
from unlearning.methods.compared.gradient_difference import GradientDifference, GradientDifferenceConfig
from unlearning.methods.compared.influence_step import InfluenceStep, InfluenceStepConfig
from unlearning.methods.compared.npo import Npo, NpoConfig
from unlearning.methods.compared.pcgrad import PcGrad, PcGradConfig
from unlearning.methods.compared.prune_and_recover.prune_and_recover import (
    PruneAndRecover,
    PruneAndRecoverConfig,
)
from unlearning.methods.compared.random_label import RandomLabel, RandomLabelConfig
from unlearning.methods.compared.sharded import Sharded, ShardedConfig
from unlearning.methods.compared.simnpo import SimNpo, SimNpoConfig
from unlearning.methods.compared.ssd import Ssd, SsdConfig
from unlearning.methods.controls.do_nothing import DoNothing, DoNothingConfig
from unlearning.methods.controls.drop_adapter import DropAdapter, DropAdapterConfig
from unlearning.methods.controls.uniform_shrink import UniformShrink, UniformShrinkConfig
from unlearning.methods.ladder.least_change.config import LeastChangeConfig
from unlearning.methods.ladder.least_change.least_change import LeastChange
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.least_change_output import LeastChangeOutput
from unlearning.methods.ladder.refit import Refit, RefitConfig
from unlearning.methods.ladder.ucan.config import UcanConfig
from unlearning.methods.ladder.ucan.ucan import Ucan
from unlearning.methods.method import Method
from unlearning.records import from_plain


@dataclass(frozen=True)
class Registration:
    """How to read a method's configuration and build the method from it."""

    config: type[Any]
    build: Callable[[Any], Method]


METHODS: Mapping[str, Registration] = {
    Ucan.name: Registration(UcanConfig, Ucan),
    LeastChangeOutput.name: Registration(LeastChangeOutputConfig, LeastChangeOutput),
    LeastChange.name: Registration(LeastChangeConfig, LeastChange),
    GradientAscent.name: Registration(GradientAscentConfig, GradientAscent),
    GradientDifference.name: Registration(GradientDifferenceConfig, GradientDifference),
    PcGrad.name: Registration(PcGradConfig, PcGrad),
    Npo.name: Registration(NpoConfig, Npo),
    SimNpo.name: Registration(SimNpoConfig, SimNpo),
    RandomLabel.name: Registration(RandomLabelConfig, RandomLabel),
    E2urec.name: Registration(E2urecConfig, E2urec),
    Cure.name: Registration(CureConfig, Cure),
    PruneAndRecover.name: Registration(PruneAndRecoverConfig, PruneAndRecover),
    InfluenceStep.name: Registration(InfluenceStepConfig, InfluenceStep),
    Ssd.name: Registration(SsdConfig, Ssd),
    Sharded.name: Registration(ShardedConfig, Sharded),
    Refit.name: Registration(RefitConfig, Refit),
    UniformShrink.name: Registration(UniformShrinkConfig, UniformShrink),
    DropAdapter.name: Registration(DropAdapterConfig, DropAdapter),
    DoNothing.name: Registration(DoNothingConfig, DoNothing),
}


# Chosen by the rule of docs/benchmarks/tuning.md, on development users alone: the least mean distance to re-fits over
# batches and single requests.
RECOMMENDED = InfluenceStep.name


def build_method(name: str, config: Mapping[str, Any] | None = None) -> Method:
    """The method called `name`, configured by field names; fields left out keep their defaults.

    Raises:
        UnknownMethod: there is no such method; the message lists all methods.
        InvalidMethodConfig: an unknown field or a value out of its choices or range; the message lists the fields.
    """
    if name not in METHODS:
        raise UnknownMethod(f"no method {name!r}; choose one of {', '.join(METHODS)}")
    registration = METHODS[name]
    return registration.build(from_plain(registration.config, dict(config or {}), InvalidMethodConfig, name))
