"""How the lab extends moto: operations and methods are attached to moto's own classes.

Subclassing moto's backends breaks their registration and pickling, so the lab only ever adds or wraps.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.core.base_backend import BaseBackend
from moto.core.common_models import BaseModel
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores

Method = Callable[..., Any]


class AWSError(ServiceException):  # type: ignore[misc]
    """An error as the AWS API words it: `AWSError("ValidationError", "...")`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def operation(responses: type, name: str) -> Callable[[Method], Method]:
    """Add or replace the operation `name` (AWS's spelling) of a moto Response class.

    The function gets the Response object, reads `self._get_param("WireName")` and returns what the API answers
    as a dict in AWS's spelling; an `AWSError` that it raises becomes the modelled error.
    """

    def add(function: Method) -> Method:
        @wraps(function)
        def method(self: Any) -> Any:
            result = function(self)
            return ActionResult(result) if isinstance(result, dict) else result

        method.__name__ = camelcase_to_underscores(name)
        setattr(responses, method.__name__, method)
        return function

    return add


def around(owner: type, name: str) -> Callable[[Method], Method]:
    """Wrap the method `name` of a moto class: the function gets the original, then self and the arguments."""

    def wrap(function: Method) -> Method:
        original = getattr(owner, name)

        @wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return function(original, self, *args, **kwargs)

        setattr(owner, name, method)
        return function

    return wrap


def refuse_unknown_operations() -> None:
    """What moto lacks answers `InvalidAction` as AWS would, not an HTML page that clients retry for minutes."""

    @around(BaseResponse, "call_action")
    def call_action(original: Method, self: Any) -> Any:
        try:
            return original(self)
        except NotImplementedError as error:
            refusal = AWSError("InvalidAction", f"The action is not offered by this lab: {error}")
            return self.serialized(ActionResult(refusal))


def keep_no_dead_models() -> None:
    """moto remembers every model ever made, for a dashboard that the lab lacks: 100 000 deleted log events stay."""

    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    BaseModel.__new__ = staticmethod(new)


def make_nothing_anew_at_reset() -> None:
    """moto makes each of its backends anew and then drops it: half a second. The first to ask for one makes it."""
    BaseBackend.reset = lambda _: None
