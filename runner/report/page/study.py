"""Which settings mattered: the runs as a study of Optuna's, and its plots of it."""

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from runner.report.comparison import Comparison, Row
from runner.report.page.curves import name_of
from runner.report.page.figures import Figure, figure, step
from runner.report.runs import Objective
from runner.report.values import shown
from runner.runs.status import ENDED

_LOG_FROM = 10
"""Numbers above 0 whose largest is at least so many times the smallest may be drawn on a logarithmic axis."""
_FEWEST = 4
"""Complete runs from which something can be told about importances."""
_FEW = 6
"""Up to so many values of a setting, each is named at its axis."""
_COLUMN = 130
"""Pixels that an axis of the parallel coordinates needs."""

_STATES = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


@dataclass(frozen=True, slots=True)
class OfObjective:
    """What can be drawn of one objective."""

    objective: Objective
    slices: list[Figure]
    """The metric against each setting."""
    parallel: Figure | None
    importances: Figure | None
    note: str | None
    """Why there are no importances."""


def make_study(found: Comparison) -> optuna.Study:
    """The runs of a comparison as the trials of a study in memory, those that are not over left out.

    Numbers become floats or integers between their least and their largest; all else becomes categories. A run that
    has come to no number is a failed trial.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=[objective.direction for objective in found.objectives])
    params = [_params_of(row) for row in found.rows]
    spaces = {key: _space([own[key] for own in params if key in own]) for key in found.keys}
    for number, (row, own) in enumerate(zip(found.rows, params, strict=True)):
        if row.run.state not in ENDED:
            continue
        values = [row.run.metric(objective.metric) for objective in found.objectives]
        numbers = [value for value in values if value is not None and math.isfinite(value)]
        is_known = len(numbers) == len(values)
        state = _STATES.get(row.run.state, TrialState.FAIL)
        if state == TrialState.COMPLETE and not is_known:
            state = TrialState.FAIL
        study.add_trial(
            optuna.create_trial(
                state=state,
                values=numbers if state == TrialState.COMPLETE else None,
                params={key: _as_param(value, spaces[key]) for key, value in own.items()},
                distributions={key: spaces[key] for key in own},
                user_attrs={"row": number, "name": name_of(found, row)},
            )
        )
    return study


def _params_of(row: Row) -> dict[str, object]:
    """What a run has of the settings that differ: those of an option that it did not choose it has not."""
    there = row.facts.settings.keys() | row.facts.choices.keys()
    return {key: value for key, value in row.values.items() if key in there}


def _space(values: Sequence[object]) -> BaseDistribution:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        return CategoricalDistribution(sorted(set(map(_as_category, values))))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= _LOG_FROM and _is_even_in_log(numbers)
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _is_even_in_log(numbers: Sequence[float]) -> bool:
    """Whether the median lies nearer to the middle of the ends on a logarithmic scale than on a linear one."""

    def off(values: Sequence[float]) -> float:
        low, high = min(values), max(values)
        return abs((statistics.median(values) - low) / (high - low) - 0.5)

    return off([math.log(number) for number in numbers]) < off(numbers)


def _as_param(value: object, space: BaseDistribution) -> object:
    return _as_category(value) if isinstance(space, CategoricalDistribution) else value


def _as_category(value: object) -> str:
    return "null" if value is None else shown(value)


def draw(found: Comparison) -> list[OfObjective]:
    """The plots of every objective; nothing where no setting differs, or fewer than two runs are complete."""
    if not found.objectives or not found.keys:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = make_study(found)
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < 2:
            return []
        return [_of(study, complete, number, one) for number, one in enumerate(found.objectives)]


def pareto(found: Comparison) -> Figure | None:
    """Two objectives against each other, with the runs that no other one beats in both; None of one objective."""
    if len(found.objectives) != 2 or not found.keys:
        return None
    study = make_study(found)
    if not study.best_trials:
        return None
    drawn = optuna.visualization.plot_pareto_front(
        study, target_names=[objective.metric for objective in found.objectives], include_dominated_trials=True
    )
    unbeaten = {trial.number for trial in study.best_trials}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    groups = [[trial for trial in complete if (trial.number in unbeaten) == is_best] for is_best in (False, True)]
    drawn.data = ()
    for trials, colour, name in zip(groups, ("var(--faint)", "var(--series-1)"), ("beaten", "unbeaten"), strict=True):
        drawn.add_scatter(
            x=[trial.values[0] for trial in trials],
            y=[trial.values[1] for trial in trials],
            mode="markers",
            name=name,
            marker={"color": colour, "size": 9},
            customdata=[trial.user_attrs["row"] for trial in trials],
            text=[trial.user_attrs["name"] for trial in trials],
            hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        )
    return figure("trade-offs: in blue, the runs that no other one beats in both", drawn, height=380)


def _of(study: optuna.Study, complete: Sequence[FrozenTrial], number: int, objective: Objective) -> OfObjective:
    def target(trial: FrozenTrial) -> float:
        return float(trial.values[number])

    names = [key for key in _params(complete) if len({trial.params.get(key) for trial in complete}) > 1]
    in_all = [name for name in names if all(name in trial.params for trial in complete)]
    importances, note = _importances(study, complete, in_all, target, objective)
    return OfObjective(
        objective,
        slices=[_slice(study, complete, name, target, objective) for name in names],
        parallel=_parallel(study, complete, in_all, target, objective) if len(in_all) > 1 else None,
        importances=importances,
        note=note,
    )


def _params(complete: Sequence[FrozenTrial]) -> list[str]:
    return list(dict.fromkeys(name for trial in complete for name in trial.params))


Target = Callable[[FrozenTrial], float]


def _slice(
    study: optuna.Study, complete: Sequence[FrozenTrial], name: str, target: Target, objective: Objective
) -> Figure:
    drawn = optuna.visualization.plot_slice(study, [name], target=target, target_name=objective.metric)
    shown_trials = [trial for trial in complete if name in trial.params]
    drawn.update_traces(
        # Optuna's own are in an order of theirs, and have quotation marks around categories.
        x=[trial.params[name] for trial in shown_trials],
        y=[target(trial) for trial in shown_trials],
        marker={"color": "var(--series-1)", "size": 8, "line": {"width": 0}, "showscale": False, "colorbar": None},
        opacity=0.65,
        customdata=[trial.user_attrs["row"] for trial in shown_trials],
        text=[trial.user_attrs["name"] for trial in shown_trials],
        hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
    )
    space = shown_trials[0].distributions[name]
    there = {trial.params[name] for trial in shown_trials}
    if isinstance(space, CategoricalDistribution):
        drawn.update_xaxes(type="category")  # also where the categories look like numbers
    elif len(there) <= _FEW:
        drawn.update_xaxes(tickmode="array", tickvals=sorted(there), ticktext=list(map(shown, sorted(there))))
    elif getattr(space, "log", False) and max(there) / min(there) >= 100:
        drawn.update_xaxes(dtick=1, exponentformat="e")
    drawn.update_xaxes(title=None)
    drawn.update_yaxes(title=None)
    return figure(name, drawn, height=260)


def _parallel(
    study: optuna.Study, complete: Sequence[FrozenTrial], names: Sequence[str], target: Target, objective: Objective
) -> Figure:
    drawn = optuna.visualization.plot_parallel_coordinate(
        study, list(names), target=target, target_name=objective.metric
    )
    drawn.data = [trace for trace in drawn.data if trace.mode == "lines"]  # without the scale of Optuna's own colours
    sign = 1 if objective.direction == "maximize" else -1
    order = sorted(range(len(complete)), key=lambda one: sign * target(complete[one]))
    for rank, one in enumerate(order):  # the better, the stronger, and the higher up
        share = rank / max(len(order) - 1, 1)
        drawn.data[one].update(
            line={"color": step(share), "width": 1 + share},
            opacity=0.35 + 0.6 * share,
            meta=complete[one].user_attrs["row"],
            name=complete[one].user_attrs["name"],
        )
    drawn.data = [drawn.data[one] for one in order]
    drawn.update_annotations(font_color="var(--muted)", bgcolor="var(--card)", opacity=0.85, borderpad=1)
    drawn.update_shapes(line_color="var(--faint)")
    return figure("all settings at once", drawn, height=420, width=_COLUMN * (len(names) + 1))


def _importances(
    study: optuna.Study, complete: Sequence[FrozenTrial], names: Sequence[str], target: Target, objective: Objective
) -> tuple[Figure | None, str | None]:
    if len(complete) < _FEWEST:
        return None, f"fewer than {_FEWEST} runs are complete"
    if len(names) < 2:
        return None, "fewer than two settings were varied in all runs"
    if len({target(trial) for trial in complete}) == 1:
        return None, f"{objective.metric} is the same in all runs"
    drawn = optuna.visualization.plot_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(seed=0),
        params=list(names),
        target=target,
        target_name=objective.metric,
    )
    drawn.update_traces(marker={"color": "var(--series-1)"}, hovertemplate="%{y}: %{x:.2f}<extra></extra>")
    drawn.update_xaxes(title="share of the variance", rangemode="tozero")
    drawn.update_yaxes(title=None, automargin=True)
    return figure("importances", drawn, height=120 + 34 * len(names)), None
