"""The building blocks of the schema: ranges, closed nodes, and nodes that are chosen by their ``_target_``."""

from collections.abc import Mapping
from copy import copy
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, create_model
from pydantic_core import PydanticCustomError, core_schema


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("bool_for_number", "true and false are not numbers")
    return value


Int = Annotated[int, BeforeValidator(_not_a_bool)]
Float = Annotated[float, BeforeValidator(_not_a_bool)]
Count = Annotated[Int, Field(ge=1)]
Whole = Annotated[Int, Field(ge=0)]
MOST_THREADS = 1024
"""CPU threads of a process: libgomp crashes where it cannot start as many as it is asked for."""
Seed = Annotated[Int, Field(ge=0, le=2**63 - 1)]  # what torch takes, whose generators have 64 bits with a sign
Threads = Annotated[Int, Field(ge=1, le=MOST_THREADS)]
Workers = Annotated[Int, Field(ge=0, le=1024)]
Positive = Annotated[Float, Field(gt=0)]
NotNegative = Annotated[Float, Field(ge=0)]
Share = Annotated[Float, Field(ge=0, le=1)]
BelowOne = Annotated[Float, Field(ge=0, lt=1)]
Size = Annotated[list[Count], Field(min_length=2, max_length=2)]


class Node(BaseModel):
    """A node of the configuration whose keys are all known."""

    model_config = ConfigDict(extra="forbid")


class Target(Node):
    """A node that is built by calling its ``_target_`` with the other keys.

    The fields of a class are the keys of a shipped option, with their types. A file of the user's may leave out some of
    them and give others, as far as the target takes them: see ``runner.config.keys``.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    reserved: ClassVar[frozenset[str]] = frozenset()
    """Keys that are the program's own: what the target is called with does not have them."""

    target: str = Field(alias="_target_")

    def node(self) -> dict[str, Any]:
        """The plain mapping that ``runner.build.build`` takes."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude=set(self.reserved))


class OneOf:
    """Annotation of a field that holds one of several shipped targets, or one of the user's own.

    A class names its targets with ``target: Literal["package.Class"] = Field(alias="_target_")``. A target that none of
    them names is accepted with any keys; ``own`` has the types of those that it may have like all others.
    """

    def __init__(self, *classes: type[Target], own: type[Target] = Target) -> None:
        self.own = _with_any_keys(own)
        self.by_target: dict[str, type[Target]] = {}
        for cls in classes:
            targets = get_args(cls.model_fields["target"].annotation)
            self.by_target |= dict.fromkeys(targets, _with_any_keys(cls))
            _keys.update(dict.fromkeys(targets, frozenset(cls.model_fields) - {"target"}))

    def tag(self, value: Any) -> str | None:
        """Which of the choices a value is."""
        target = value.get("_target_") if isinstance(value, Mapping) else getattr(value, "target", None)
        return target if target in self.by_target else "own"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        choices = {target: handler.generate_schema(cls) for target, cls in self.by_target.items()}
        choices["own"] = handler.generate_schema(self.own)
        return core_schema.tagged_union_schema(choices, discriminator=self.tag)


def shipped_keys(target: object) -> frozenset[str] | None:
    """The keys of the shipped options that name a target; None for a target that none of them names."""
    return _keys.get(target) if isinstance(target, str) else None


_keys: dict[str, frozenset[str]] = {}


def _with_any_keys(cls: type[Target]) -> type[Target]:
    """The same types, but every key may be missing."""
    fields: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        if name != "target":
            optional = copy(field)
            optional.default = None
            fields[name] = (field.annotation, optional)
    return create_model(cls.__name__, __base__=cls, **fields)
