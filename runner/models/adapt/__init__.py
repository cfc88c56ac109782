"""Changing a model from outside, without touching its code: its inputs, its outputs, and what of it is trained.

All of it is done with names as ``named_modules()`` and ``named_parameters()`` have them, and with forward hooks, so the
model keeps its class, its forward function and the names of its weights. Hooks are objects that refer to each other and
not to the model, so a copy of the model (``copy.deepcopy``) has working hooks of its own.
"""
