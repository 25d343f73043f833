"""What the stages of the pipeline `train` share: their variables, and an end with one line that says why.

A stage knows its files and folders by environment variables only: UNIP_PIPELINE_<VARIABLE>.
"""

import os
import sys


class Wrong(Exception):
    """The input is wrong; the message is for its author."""


def path(variable):
    """Returns where a variable lies: a file, or a folder."""
    name = "UNIP_PIPELINE_" + variable.upper()
    try:
        return os.environ[name]
    except KeyError:
        raise Wrong("%s is not set: the stage does not have the variable %s" % (name, variable))


def run(stage):
    """Runs a stage; wrong input ends it with exit code 1 and one line."""
    try:
        stage()
    except Wrong as e:
        sys.exit("wrong input: %s" % e)
