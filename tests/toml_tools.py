"""Inputs in TOML from what tests have in mind."""

import json


def to_toml(content: dict[str, dict]) -> str:
    """Tables one after the other; a value that is None is left out."""
    text = ""
    for name, table in content.items():
        text += f"[{name}]\n"
        text += "".join(f"{k} = {_value(v)}\n" for k, v in table.items() if v is not None)
    return text


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)
