"""What can go wrong in the workbench, and the exit code that says so.

WorkbenchError
├── BudgetError        1   nothing met the budget: a result, not a failure
├── InputError         2   the user's graph, data or options
└── MachineError       3   this machine: a library, a device, space, time
"""


class WorkbenchError(Exception):
    """The root; never raised itself."""

    exit_code = 2


class BudgetError(WorkbenchError):
    """No candidate met the budget."""

    exit_code = 1


class InputError(WorkbenchError):
    """What the user gave can't be used; the message says where, what was expected and what was received."""

    exit_code = 2


class MachineError(WorkbenchError):
    """This machine lacks something: a library, a device, space or time."""

    exit_code = 3
