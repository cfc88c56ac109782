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

from runner.report.comparison import Comparison
from runner.report.page.curves import name_of
from runner.report.page.figures import Figure, figure, step
from runner.report.runs import Objective
from runner.report.values import shown

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
    spaces = {key: _space([row.values[key] for row in found.rows]) for key in found.keys}
    for number, row in enumerate(found.rows):
        if row.run.state not in ("completed", "pruned", "failed"):
            continue
        params = {key: value for key, value in row.values.items() if value is not None}
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
                params={key: _as_param(value, spaces[key]) for key, value in params.items()},
                distributions={key: spaces[key] for key in params},
                user_attrs={"row": number, "name": name_of(found, row)},
            )
        )
    return study


def _space(values: Sequence[object]) -> BaseDistribution:
    known = [value for value in values if value is not None]
    numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(known) or not all(map(math.isfinite, numbers)):
        return CategoricalDistribution(sorted({shown(value) for value in known}))
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
    return shown(value) if isinstance(space, CategoricalDistribution) else value


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
    """Two or three objectives against each other; None of one."""
    if len(found.objectives) not in (2, 3) or not found.keys:
        return None
    drawn = optuna.visualization.plot_pareto_front(
        make_study(found), target_names=[objective.metric for objective in found.objectives]
    )
    drawn.update_layout(showlegend=False)
    drawn.update_traces(marker={"colorbar": None, "showscale": False})
    return figure("the best trade-offs", drawn, height=420)


def _of(study: optuna.Study, complete: Sequence[FrozenTrial], number: int, objective: Objective) -> OfObjective:
    def target(trial: FrozenTrial) -> float:
        return float(trial.values[number])

    names = [key for key in _params(complete) if len({trial.params.get(key) for trial in complete}) > 1]
    importances, note = _importances(study, complete, names, target, objective)
    return OfObjective(
        objective,
        slices=[_slice(study, complete, name, target, objective) for name in names],
        parallel=_parallel(study, complete, names, target, objective) if len(names) > 1 else None,
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
    with_all = [trial for trial in complete if all(name in trial.params for name in names)]
    sign = 1 if objective.direction == "maximize" else -1
    order = sorted(range(len(with_all)), key=lambda one: sign * target(with_all[one]))
    for rank, one in enumerate(order):  # the better, the stronger, and the higher up
        share = rank / max(len(order) - 1, 1)
        drawn.data[one].update(
            line={"color": step(share), "width": 1 + share},
            opacity=0.35 + 0.6 * share,
            meta=with_all[one].user_attrs["row"],
            name=with_all[one].user_attrs["name"],
        )
    drawn.data = [drawn.data[one] for one in order]
    drawn.update_annotations(font_color="var(--muted)", bgcolor="var(--card)", opacity=0.85, borderpad=1)
    drawn.update_shapes(line_color="var(--faint)")
    return figure("all settings at once", drawn, height=420, width=_COLUMN * (len(names) + 1))


def _importances(
    study: optuna.Study, complete: Sequence[FrozenTrial], names: Sequence[str], target: Target, objective: Objective
) -> tuple[Figure | None, str | None]:
    in_all = [name for name in names if all(name in trial.params for trial in complete)]
    if len(complete) < _FEWEST:
        return None, f"fewer than {_FEWEST} runs are complete"
    if len(in_all) < 2:
        return None, "fewer than two settings were varied in all runs"
    if len({target(trial) for trial in complete}) == 1:
        return None, f"{objective.metric} is the same in all runs"
    drawn = optuna.visualization.plot_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(seed=0),
        params=in_all,
        target=target,
        target_name=objective.metric,
    )
    drawn.update_traces(marker={"color": "var(--series-1)"}, hovertemplate="%{y}: %{x:.2f}<extra></extra>")
    drawn.update_xaxes(title="share of the variance", rangemode="tozero")
    drawn.update_yaxes(title=None, automargin=True)
    return figure("importances", drawn, height=120 + 34 * len(in_all)), None
