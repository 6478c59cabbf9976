"""YAML as plain data: no tag makes an object, and whatever is wrong with a text is one kind of error."""

from collections import Counter
from typing import Any

import yaml


def read_yaml(text: str, *, quick: bool = False) -> Any:
    """What a YAML text says, in dicts, lists, strings, numbers, dates. Raises yaml.YAMLError for whatever is wrong.

    `quick` reads with libyaml, where there is one, which tells less of where a text is wrong. Beside YAMLError PyYAML
    raises what Python says of a date without a 13th month, a number of 5,000 digits, a tag on the wrong kind of value,
    a list within a thousand others: that is one of its kind here.
    """
    return _read(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader) if quick else yaml.SafeLoader)


def read_strict_yaml(text: str) -> Any:
    """As `read_yaml`, of a text from anywhere: aliases are refused, which can blow a line up to gigabytes, and so is a
    name said twice in one place, of which YAML would keep the last.

    Raises yaml.YAMLError.
    """
    return _read(text, _StrictLoader)


def compose_strict_yaml(text: str) -> yaml.Node | None:
    """The nodes of such a text, each with its place in it; None of an empty one. Raises as `read_strict_yaml` does."""
    try:
        return yaml.compose(text, Loader=_StrictLoader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "it refers to another part of itself (*name): write out what is meant", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := sorted(name for name, times in names.items() if times > 1):
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(map(repr, twice[:3]))} is said twice in one place", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _read(text: str, loader: Any) -> Any:
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - all make plain data alone
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise yaml.YAMLError(f"a value in it is not what it seems to be ({error})") from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
