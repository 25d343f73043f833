"""What the MLComponent serves: predict() for a call, load() once for the model."""


def load(path):
    """Reads the classifier that the stage report chose."""
    import joblib

    return joblib.load(path)


def predict(inputs: list, model) -> list:
    """Reads handwritten digits.

    :param inputs.image: one or more images of 8 x 8 pixels, 0 (white) to 16 (black), line by line; or a PNG file of them
    :type inputs.image: FP32 or FP64 or INT32 or FILE
    :param outputs.digit: the digit on each image, 0 to 9
    :type outputs.digit: INT32
    """
    import numpy

    image = next(i for i in inputs if i["name"] == "image")
    data = image["data"]
    if image.get("datatype") == "FILE":
        from digits import picture

        data = picture.digits(data)
    images = numpy.asarray(data, dtype=float)
    if images.size == 0 or images.size % 64:
        raise ValueError("image: %d numbers are not images of 64 pixels" % images.size)
    digits = model.predict(images.reshape(-1, 64))
    return [{"name": "digit", "datatype": "INT32", "shape": [len(digits)], "data": digits}]
