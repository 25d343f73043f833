def greet(inputs):
    """Greets.

    :param inputs.name: whom
    :type inputs.name: str
    :param outputs.said: the greeting
    :type outputs.said: str
    """
    return {"said": "hello %s" % inputs[0]["data"]}
