"""The digits that scikit-learn brings, in one split that training and testing share."""

HELD_OUT = 100
SEED = 20


def split():
    """Returns (train_images, train_digits, held_out_images, held_out_digits).

    An image is a row of 64 numbers, 0 (white) to 16 (black), line by line. The split is the same at every call.
    """
    import numpy
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = numpy.random.RandomState(SEED).permutation(len(digits.target))
    train, held_out = order[:-HELD_OUT], order[-HELD_OUT:]
    return digits.data[train], digits.target[train], digits.data[held_out], digits.target[held_out]
