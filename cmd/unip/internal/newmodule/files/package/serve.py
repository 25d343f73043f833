"""What the MLComponent serves: load() once for the model, predict() for each call."""

from {{.Package}}.model import load, topic_of

__all__ = ["load", "predict"]


def predict(inputs, model):
    """Says what a text is about.

    :param inputs.text: the text
    :type inputs.text: str
    :param outputs.topic: the likeliest topic
    :type outputs.topic: str
    """
    text = next(i["data"] for i in inputs if i["name"] == "text")
    return [{"name": "topic", "datatype": "str", "data": topic_of(model, text)}]
