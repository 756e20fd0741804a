"""The workbench's exceptions, and the exit code of each.

WorkbenchError ├── BudgetError        1   nothing met the budget: a result, not a failure ├── InputError         2   the
user's graph, data or options └── MachineError       3   this machine: a library, a device, space, time
"""


class WorkbenchError(Exception):
    """The base class; never raised itself."""

    exit_code = 2


class BudgetError(WorkbenchError):
    """No candidate met the budget."""

    exit_code = 1


class InputError(WorkbenchError):
    """The user's input can't be used. The message says where, what was expected and what was received."""

    exit_code = 2


class MachineError(WorkbenchError):
    """This machine lacks something: a library, a device, space or time."""

    exit_code = 3
