"""YAML as plain data: no tag makes an object, and whatever is wrong with a text is one kind of error."""

from typing import Any

import yaml


def read_yaml(text: str, *, quick: bool = False) -> Any:
    """What a YAML text says, in dicts, lists, strings, numbers, dates. Raises yaml.YAMLError for whatever is wrong.

    `quick` reads with libyaml, where there is one, which tells less of where a text is wrong. Beside YAMLError PyYAML
    raises what Python says of a date without a 13th month, a number of 5,000 digits, a tag on the wrong kind of value,
    a list within a thousand others: that is one of its kind here.
    """
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if quick else yaml.SafeLoader
        return yaml.load(text, Loader=loader)  # noqa: S506 - both make plain data alone
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise yaml.YAMLError(f"a value in it is not what it seems to be ({error})") from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error
