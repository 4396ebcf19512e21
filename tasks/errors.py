"""Why a run stopped, named by what the operator has to do next."""


class RunbookError(Exception):
    """A run stopped on purpose."""


class PreconditionFailed(RunbookError):
    """The environment is not in the state this procedure needs. Nothing was changed."""


class NotApproved(RunbookError):
    """A person said no, or nobody came. Nothing was changed."""


class WaitTimedOut(RunbookError):
    """A change was requested and its outcome is unknown. Look before retrying."""


class VerificationFailed(RunbookError):
    """The change was made and the check after it failed. It was rolled back, or must be."""
