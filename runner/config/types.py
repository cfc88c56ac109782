"""The building blocks of the schema: ranges, closed nodes, and nodes that are chosen by their ``_target_``."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("bool_for_number", "true and false are not numbers")
    return value


Int = Annotated[int, BeforeValidator(_not_a_bool)]
Float = Annotated[float, BeforeValidator(_not_a_bool)]
Count = Annotated[Int, Field(ge=1)]
Whole = Annotated[Int, Field(ge=0)]
Positive = Annotated[Float, Field(gt=0)]
NotNegative = Annotated[Float, Field(ge=0)]
Share = Annotated[Float, Field(ge=0, le=1)]
BelowOne = Annotated[Float, Field(ge=0, lt=1)]
Size = Annotated[list[Count], Field(min_length=2, max_length=2)]


class Node(BaseModel):
    """A node of the configuration whose keys are all known."""

    model_config = ConfigDict(extra="forbid")


class Target(Node):
    """A node that is built by calling its ``_target_`` with the other keys."""

    target: str = Field(alias="_target_")

    def node(self) -> dict[str, Any]:
        """The plain mapping that ``runner.build.build`` takes."""
        return self.model_dump(by_alias=True)


class OwnTarget(Target):
    """A ``_target_`` that is not shipped: its arguments are its own business."""

    model_config = ConfigDict(extra="allow")


class OneOf:
    """Annotation of a field that holds one of several shipped targets, or one of the user's own.

    A class names its targets with ``target: Literal["package.Class"] = Field(alias="_target_")``. A target that none of
    them names is accepted as an ``OwnTarget``.
    """

    def __init__(self, *classes: type[Target]) -> None:
        self.by_target = {target: cls for cls in classes for target in get_args(cls.model_fields["target"].annotation)}

    def tag(self, value: Any) -> str | None:
        """Which of the choices a value is."""
        target = value.get("_target_") if isinstance(value, Mapping) else getattr(value, "target", None)
        return target if target in self.by_target else "own"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        choices = {target: handler.generate_schema(cls) for target, cls in self.by_target.items()}
        choices["own"] = handler.generate_schema(OwnTarget)
        return core_schema.tagged_union_schema(choices, discriminator=self.tag)
