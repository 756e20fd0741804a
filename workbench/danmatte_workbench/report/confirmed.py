"""Losses of confirmed trials, on the choosing and on the confirming frames."""

from dataclasses import dataclass

from danmatte_workbench.report.records import Figure, RunRecord


@dataclass(frozen=True)
class ConfirmedRow:
    """A trial's loss on the choosing and on the confirming frames. worst: whether its kind of scene loses most."""

    what: str
    chosen: Figure | None
    confirmed: Figure | None
    note: str = ""
    worst: bool = False


def list_confirmed(run: RunRecord) -> list[ConfirmedRow]:
    """Return rows for each trial that was to be confirmed, in the order of the attempts.

    Each has a row for its overall loss, one for each kind of scene, and one for each older instruction set.
    """
    rows = []
    asked = [(trial.confirmation, trial) for trial in run.trials if trial.confirmation]
    seen = set()
    for confirmation, trial in sorted(asked, key=lambda item: (item[0].attempt, item[1].name != run.winner)):
        if confirmation.attempt in seen:  # the same graph in another configuration
            continue
        seen.add(confirmation.attempt)
        state = "confirmed" if trial.accepted else "not confirmed"
        note = f"{state}, attempt {confirmation.attempt}, interval {100 * confirmation.confidence:.3g} %"
        loss = trial.measurements.get(run.loss)
        rows.append(ConfirmedRow(trial.name, confirmation.choosing.get(run.loss), loss, note))
        worst = trial.worst_kind
        for kind, figure in trial.kinds.items():
            is_worst = worst is not None and kind == worst[0]
            rows.append(
                ConfirmedRow(
                    f"in {kind}",
                    confirmation.choosing_kinds.get(kind),
                    figure,
                    "the worst" if is_worst else "",
                    is_worst,
                )
            )
        rows += [ConfirmedRow(f"with {level}", None, figure) for level, figure in trial.levels.items()]
    return rows
