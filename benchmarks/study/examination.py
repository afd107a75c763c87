"""Everything that is measured of a candidate, compared with the re-fits of its deletion."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from benchmarks.popularity import popularity_row
from benchmarks.study import orders
from benchmarks.study.deletions import Deletion
from benchmarks.study.kolmogorov_smirnov import kolmogorov_smirnov
from benchmarks.study.labels import label_figures, likes_row
from benchmarks.study.shadow_attack import ShadowAttack
from benchmarks.study.workshop import Workshop
from recommender import Adapter, Base, RankingMetrics, attach
from unlearning import Candidate, EvaluationInputs, Method, Policy, Report, decide, publishable
from unlearning.attacks.distance import mixture_divergence, nll_gap
from unlearning.attacks.membership import Group, population_attacks
from unlearning.attacks.neighbours import nearest_users, union
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.attacks.relearning import RelearningConfig, relearning_curve
from unlearning.attacks.rounding import rounded
from unlearning.evaluation.durability import measure_durability
from unlearning.evaluation.evaluate import measure, report_on
from unlearning.evaluation.inputs import whole_history
from unlearning.evaluation.metrics import HELD_OUT, Measured
from unlearning.evaluation.reading import Reading, read
from unlearning.gate.band import z_score
from unlearning.gate.utility import bootstrap_bounds, utility_change

# Relearning and divergences use at most so many subjects: more would take longer and show the same.
_MOST_SUBJECTS = 64
_SAMPLED_RETAINED = 200
_NEIGHBOURS_OF_ONE, _NEIGHBOURS_IN_BATCH = 50, 10
_ROUNDINGS: Mapping[str, tuple[Any, Any]] = {"int8": (8, "uniform"), "int4": (4, "uniform")}


@dataclass(frozen=True)
class Examination:
    """Measures the candidates of one deletion. It is prepared once per deletion."""

    deletion: Deletion
    base: Base
    policy: Policy
    inputs: EvaluationInputs
    outsiders: tuple[tuple[int, ...], ...]
    references: tuple[Adapter, ...]
    subject_references: tuple[tuple[Tensor, ...], ...]
    retained_references: tuple[tuple[Tensor, ...], ...]
    outsiders_base: tuple[Tensor, ...]
    sample: tuple[int, ...]
    neighbours: tuple[int, ...]
    attacker: ShadowAttack | None

    @classmethod
    def prepare(
        cls,
        workshop: Workshop,
        deletion: Deletion,
        parent: Adapter,
        policy: Policy,
        *,
        with_shadows: bool = False,
        most_retained: int | None = None,
    ) -> Examination:
        """Read what no candidate changes. Missing fits are made.

        `most_retained` replaces the policy's number of retained users to measure, and leaves out the gate's neighbours.
        """
        base, population = workshop.base, workshop.population
        inputs = EvaluationInputs.prepare(
            base,
            parent,
            subjects=deletion.subjects,
            counted=deletion.counted,
            retained=deletion.retained,
            seed=deletion.seed,
            config=policy.evaluation
            if most_retained is None
            else replace(policy.evaluation, max_retained=most_retained, neighbours=0),
        )
        places = range(len(inputs.retained))
        sample = tuple(
            sorted(random.Random(deletion.seed).sample(places, min(_SAMPLED_RETAINED, len(places))))
        )
        histories = [whole_history(inputs.retained[place]) for place in sample]
        references = tuple(workshop.fit(order).adapter for order in orders.references(deletion))
        outsiders = tuple(split.train for split in population.outsiders)
        near = _NEIGHBOURS_OF_ONE if len(deletion.subjects) == 1 else _NEIGHBOURS_IN_BATCH
        sequences = [split.train for split in inputs.retained]
        return cls(
            deletion=deletion,
            base=base,
            policy=policy,
            inputs=inputs,
            outsiders=outsiders,
            references=references,
            subject_references=tuple(
                item_log_likelihoods(base, adapter, deletion.subjects, deletion.counted)
                for adapter in references
            ),
            retained_references=tuple(
                item_log_likelihoods(base, adapter, histories) for adapter in references
            ),
            outsiders_base=item_log_likelihoods(base, None, outsiders),
            sample=sample,
            # If single interactions are forgotten, the subjects are retained users too, so neighbours have no meaning.
            neighbours=()
            if deletion.counted is not None
            else union(nearest_users(deletion.subjects, sequences, min(near, len(sequences)))),
            attacker=ShadowAttack.prepare(workshop, deletion) if with_shadows else None,
        )

    def row(self, candidate: Candidate, method: Method, *, attacks: bool = True) -> dict[str, Any]:
        """All figures of a candidate as JSON values. `attacks` False leaves out attacks that need training."""
        measured = measure(self.inputs, candidate.adapter)
        durability = measure_durability(self.inputs, candidate.adapter)
        report = report_on(self.inputs, measured, durability, candidate, method)
        figures = {
            **{metric.name: metric.value for metric in report.metrics},
            **self._cost(report),
            **self._gate(report),
            **self._distances(measured, candidate.adapter),
            **self._memberships(measured, candidate.adapter),
            **self._near(measured),
            **self._first_places(measured),
            **(label_figures(measured, self.subject_references) if measured.labelled else {}),
        }
        if self.attacker is not None:
            figures |= self.attacker.figures(candidate.adapter)
        if not attacks:
            return figures
        return figures | self._rounded(candidate.adapter) | self._relearned(candidate.adapter)

    def popularity(self) -> dict[str, Any]:
        """The row of popularity, which needs no model and has ranking metrics, or those of labels, only."""
        if self.base.style.ranked_by == "labels":
            return likes_row(self.inputs)
        return popularity_row(self.inputs, {})

    def development_distance(self, adapter: Adapter) -> dict[str, float]:
        """The distance to the re-fits in mean NLL per user, in nats. The search for configurations minimises it."""
        measured = measure(self.inputs, adapter)
        return self._nll_distances(measured)

    def _cost(self, report: Report) -> dict[str, Any]:
        cost = report.cost
        return {
            "seconds": cost.seconds,
            "forwards": cost.forwards,
            "backwards": cost.backwards,
            "samples_per_second": cost.samples / cost.seconds if cost.samples and cost.seconds else None,
        }

    def _gate(self, report: Report) -> dict[str, Any]:
        verdict = decide(report, self.policy)
        decisions = [subject.decision for subject in verdict.subjects]
        return {
            "membership_auc_two_sided": report.membership.auc_two_sided,
            "run_z": z_score(report.membership.run, self.policy),
            "held_out_change": bootstrap_bounds(report, self.policy)[1]
            if any(pair.parent > 0 for pair in report.utility)
            else utility_change(report),
            "subjects": len(decisions),
            "subjects_passed": decisions.count("pass"),
            "subjects_failed": decisions.count("fail"),
            "subjects_inconclusive": decisions.count("inconclusive"),
            "run_decision": verdict.run_decision,
            "publishable": publishable(verdict, method_is_exact=report.exact, policy=self.policy),
        }

    def _nll_distances(self, measured: Measured) -> dict[str, float]:
        """Mean absolute differences of users' mean NLL: of subjects, and of retained users' own and held-out items."""
        forget = nll_gap([-reading.nll for reading in measured.subjects], self.subject_references)
        own, held_out = [], []
        for number, place in enumerate(self.sample):
            nll = measured.retained[place].nll
            reference = -torch.stack([reading[number] for reading in self.retained_references]).mean(0)
            own.append(float((nll[:-HELD_OUT].mean() - reference[:-HELD_OUT].mean()).abs()))
            held_out.append(float(nll[-HELD_OUT:].mean() - reference[-HELD_OUT:].mean()))
        found = {
            "forget_nll_gap": float(forget.signed.abs().mean()),
            "forget_nll_gap_signed": float(forget.signed.mean()),
            "retained_nll_gap": fmean(own),
            "held_out_nll_gap": fmean(held_out),
        }
        # Held-out likelihoods of single users differ between re-fits; only a loss over all users is damage.
        distance = found["forget_nll_gap"] + found["retained_nll_gap"] + max(found["held_out_nll_gap"], 0.0)
        return found | {"distance": distance}

    def _distances(self, measured: Measured, adapter: Adapter) -> dict[str, Any]:
        chosen = range(min(len(self.deletion.subjects), _MOST_SUBJECTS))
        counted = self.deletion.counted
        divergence = mixture_divergence(
            self.base,
            adapter,
            self.references,
            [self.deletion.subjects[place] for place in chosen],
            None if counted is None else [counted[place] for place in chosen],
        )
        one_refit = torch.cat(list(self.subject_references[0]))
        statistic, p_value = kolmogorov_smirnov(
            -torch.cat([reading.nll for reading in measured.subjects]), one_refit
        )
        return {
            **self._nll_distances(measured),
            "ks_statistic": statistic,
            "ks_p": p_value,
            "jsd": divergence.mean,
        }

    def _memberships(self, measured: Measured, adapter: Adapter) -> dict[str, Any]:
        outsiders = item_log_likelihoods(self.base, adapter, self.outsiders)
        subjects_base = [-reading.nll for reading in self.inputs.base_readings.subject_readings]
        members = Group([-reading.nll for reading in measured.subjects], subjects_base)
        found = population_attacks(members, Group(outsiders, self.outsiders_base))
        return {
            f"{name}.{figure}": value
            for name, result in found.items()
            for figure, value in (
                ("auc", result.auc),
                ("auc_two_sided", result.auc_two_sided),
                ("tpr_at_1_fpr", result.tpr_at_1_fpr),
                ("tpr_floor", result.tpr_floor),
            )
        }

    def _first_places(self, measured: Measured) -> dict[str, float]:
        """Recall at 1, for prompts that offer so few candidates that recall at 10 says little or nothing."""
        if self.base.style.ranked_by != "options":
            return {}
        held_out = torch.cat([measured.validation_ranks, measured.test_ranks])
        return {
            name: float((ranks == 1).double().mean())
            for name, ranks in (
                ("forget_recall@1", measured.forget_ranks),
                ("retained_member_recall@1", measured.member_ranks),
                ("held_out_recall@1", held_out),
            )
        }

    def _near(self, measured: Measured) -> dict[str, Any]:
        if not self.neighbours or measured.labelled:
            return {}
        readings = [measured.retained[place] for place in self.neighbours]
        return {
            "neighbours": len(readings),
            "neighbour_member_recall@10": _recall([reading.ranks[:-HELD_OUT] for reading in readings]),
            "neighbour_test_recall@10": _recall([reading.ranks[-1:] for reading in readings]),
        }

    def _rounded(self, adapter: Adapter) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, (bits, levels) in _ROUNDINGS.items():
            model = attach(self.base, rounded(adapter, bits, levels=levels))
            subjects = self._read(model, self.deletion.subjects, self.policy.evaluation.tail_items)
            held_out = self._read_histories(model)
            gap = nll_gap([-reading.nll for reading in subjects], self.subject_references)
            found |= {
                f"{name}.forget_nll_gap": float(gap.signed.abs().mean()),
                f"{name}.forget_nll_gap_signed": float(gap.signed.mean()),
                f"{name}.forget_recall@10": _recall([reading.ranks for reading in subjects]),
                f"{name}.test_recall@10": _recall([reading.ranks[-1:] for reading in held_out]),
            }
        return found

    def _read(self, model: Any, sequences: Sequence[Sequence[int]], ranked: int) -> Sequence[Reading]:
        return read(model, self.base.style, sequences, ranked=ranked, counted=self.deletion.counted)

    def _read_histories(self, model: Any) -> Sequence[Reading]:
        histories = [whole_history(self.inputs.retained[place]) for place in self.sample]
        return read(model, self.base.style, histories, ranked=1)

    def _relearned(self, adapter: Adapter) -> dict[str, Any]:
        chosen = range(min(len(self.deletion.subjects), _MOST_SUBJECTS))
        counted = self.deletion.counted
        found: dict[str, Any] = {}
        for trained in ("adapter", "gates"):
            curve = relearning_curve(
                self.base,
                adapter,
                [self.deletion.subjects[place] for place in chosen],
                None if counted is None else [counted[place] for place in chosen],
                replace(RelearningConfig(), trained=trained, seed=self.deletion.seed),
            )
            # One list per attack: the NLL of the items that the attacker does not have, after each number of steps.
            found[f"relearning.{trained}"] = {"steps": list(curve.steps), "nll": list(curve.nll)}
            found[f"relearning.{trained}.gain"] = curve.nll[0] - min(curve.nll)
        return found


def _recall(ranks: Sequence[Tensor]) -> float:
    return float(RankingMetrics(torch.cat(list(ranks))).per_user("recall@10").mean())
