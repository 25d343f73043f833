"""A model's place in a folder of the image, as a link, so that nothing of the image is hidden: code that names the path finds the model there."""

import os

from unip_lines import record


def make(at, to):
    """Has a link at one path lead to another. Every worker makes it anew, and whole or not at all."""
    folder, name = os.path.split(at)
    try:
        os.makedirs(folder, exist_ok=True)
        new = os.path.join(folder, ".unip-model-%d" % os.getpid())
        os.symlink(to, new)
        try:
            os.replace(new, at)
        except OSError:
            os.unlink(new)
            raise
    except OSError as e:
        if os.path.lexists(at) and not (os.path.islink(at) and os.readlink(at) == to):
            raise ValueError("modelPath: %s is in the image already, and the model cannot take its place (%s): leave it out of the image, or choose a folder of its own, like /models/%s" % (at, e.strerror, name))
        record(2, "WARNING", "modelPath: no link can be made at %s (%s): the model is at %s, which its loader, or the argument model, is given; let the image's user write to %s, or choose a folder of its own, like /models/%s" % (at, e.strerror, to, folder, name))
