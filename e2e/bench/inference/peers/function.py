"""The function that all sides serve: the sum of one tensor, or an embedding of so many numbers, which is a fixed one, for making it is not what is measured."""

EMBEDDING = [(i * 2654435761 & 0xFFFFFFFF) / 2**32 - 0.5 for i in range(4096)]


def predict(inputs):
    data = inputs[0]["data"]
    if inputs[0]["name"] == "embedding":
        return [{"name": "embedding", "datatype": "FP64", "shape": [int(data[0])], "data": EMBEDDING[: int(data[0])]}]
    total = data.sum(dtype="float64") if hasattr(data, "dtype") else sum(data)
    return [{"name": "sum", "datatype": "FP64", "shape": [1], "data": [float(total)]}]
