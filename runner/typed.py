"""Commands that a user is shown, to copy them."""

import shlex


def typed(*words: object) -> str:
    """A command as it is typed into a shell, with quotes around what it would take apart: ``runner eval 'my run'``."""
    return shlex.join(map(str, words))
