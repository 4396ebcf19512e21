"""What the fields of a form may hold: a slip of the pen is refused by the field's name before a run exists."""

from typing import Annotated

from pydantic import Field

from tasks.approval import PLAN_HASH

PlanHash = Annotated[str | None, Field(pattern=PLAN_HASH)]
# A tag is refused later, with the digest that it means.
ImageReference = Annotated[str, Field(min_length=1, max_length=300)]
Identifier = Annotated[str, Field(min_length=3, max_length=255)]
Reason = Annotated[str, Field(max_length=500)]
ResourceAddresses = Annotated[list[Annotated[str, Field(min_length=3, max_length=500)]], Field(max_length=100)]
