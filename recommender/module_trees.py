"""A copy of a tree of modules around the same tensors, so that PEFT can change it and nobody else notices."""

import copy
from collections import OrderedDict
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)

# Most of what a module holds. Asked for by the exact type, which is quicker; `deepcopy` knows what is derived of them.
_NEVER_COPIED = frozenset(
    (str, int, float, bool, type(None), type, FunctionType, BuiltinFunctionType, torch.dtype, torch.device)
)


def share_tensors(model: M) -> M:
    """What `copy.deepcopy` gives, with the model's own parameters and buffers in it.

    Modules are copied by their attributes, without `__deepcopy__` or `__setstate__`, and keys of dictionaries are not
    copied. A module is a dozen dictionaries, most of them empty. `deepcopy` looks at each in the same
    general way, which took most of the time of attaching an adapter to a small model. It still copies all that is
    neither a module nor a container.
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    copied: M = _value(model, memo)
    return copied


def _value(value: Any, memo: dict[int, Any]) -> Any:
    kind: Any = type(value)
    if kind in _NEVER_COPIED:
        return value
    if (known := memo.get(id(value))) is not None:
        return known
    copied: Any
    if kind is dict or kind is OrderedDict:
        copied = memo[id(value)] = kind()
        for name, one in value.items():
            copied[name] = one if type(one) in _NEVER_COPIED else _value(one, memo)
        return copied
    if kind is list or kind is set:
        copied = memo[id(value)] = kind()
        add = copied.append if kind is list else copied.add
        for one in value:
            add(_value(one, memo))
        return copied
    if isinstance(value, nn.Module):
        copied = memo[id(value)] = kind.__new__(kind)
        # Not setattr: a module would register its submodules and parameters.
        attributes = copied.__dict__
        for name, one in value.__dict__.items():
            attributes[name] = one if type(one) in _NEVER_COPIED else _value(one, memo)
        return copied
    return copy.deepcopy(value, memo)
