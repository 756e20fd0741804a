"""What a trial was chosen by, beside what other frames say of it."""

from dataclasses import dataclass

from danmatte_workbench.report.records import Figure, RunRecord


@dataclass(frozen=True)
class ConfirmedRow:
    """A loss as it was when a trial was chosen, and as other frames confirmed it; ``worst`` of the kinds of scene."""

    what: str
    chosen: Figure | None
    confirmed: Figure | None
    note: str = ""
    worst: bool = False


def list_confirmed(run: RunRecord) -> list[ConfirmedRow]:
    """Each trial that other frames were asked about, in the order of the attempts, and its loss by kind of scene and
    under older instruction sets.
    """
    rows = []
    asked = [(trial.confirmation, trial) for trial in run.trials if trial.confirmation]
    seen = set()
    for confirmation, trial in sorted(asked, key=lambda item: (item[0].attempt, item[1].name != run.winner)):
        if confirmation.attempt in seen:  # the same graph, run otherwise
            continue
        seen.add(confirmation.attempt)
        state = "confirmed" if trial.accepted else "fell"
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
        rows += [ConfirmedRow(f"as a CPU with {level}", None, figure) for level, figure in trial.levels.items()]
    return rows
