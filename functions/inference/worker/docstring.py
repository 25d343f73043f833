"""The docstring of an inference function: what the platform has in place of a specification.

    :param inputs.NAME: DESCRIPTION
    :type inputs.NAME: TYPE1 or TYPE2[, optional]

and the same with outputs. A field goes on until the next one or an empty line; what stands before the first is the summary. Fields about anything else (:return:, :raises X:, ":param inputs: the
argument itself") are left alone, and so is a variable without a :type.
"""

import functools
import re

TYPES = ("FP32", "FP64", "INT32", "str", "dict", "FILE", "BOOL", "BYTES", "FP16", "BF16", "INT8", "INT16", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")

FIELD = re.compile(r":(param|type)\s+(inputs|outputs)\.([^:\s]+)\s*:\s*(.*)$")
# What was meant to be one. ":param inputs: …" is none: it describes the function's own argument.
ALMOST = re.compile(r":\s*(?:(?:param|type)\s+(?:inputs?|outputs?)(?!\s*:|\w)|\w+\s+(?:inputs?|outputs?)\.)")


class DocstringError(Exception):
    pass


def parse_docstring(doc):
    """What a docstring says, {"summary", "inputs", "outputs"}, and what is wrong with it, a list of (line from 0, text). A variable is {"name", "description", "types", "optional"}."""
    fields, summary, field = [], [], None
    for number, line in enumerate(doc.split("\n")):
        line = line.strip()
        if line.startswith(":"):
            field = [number, line]
            fields.append(field)
        elif line and field:
            field[1] += " " + line
        elif not fields:
            summary.append(line)
        if not line:
            field = None
    found, wrong = {"inputs": {}, "outputs": {}}, []
    for number, text in fields:
        match = FIELD.match(text)
        if match:
            what, side, name, value = match.groups()
            variable = found[side].setdefault(name, {"name": name})
            if what in variable:
                wrong.append((number, "%s.%s has a second :%s" % (side, name, what)))
            variable[what] = (number, value)
        elif ALMOST.match(text):
            wrong.append((number, "%.80r is not of the form ':param inputs.NAME: DESCRIPTION' or ':type inputs.NAME: TYPE1 or TYPE2[, optional]', or the same with outputs" % text))
    for side, variables in found.items():
        for v in variables.values():
            number, text = v.pop("type", (0, None))
            v["types"], v["optional"] = [], False
            if text is not None:
                try:
                    v["types"], v["optional"] = parse_types(text)
                except ValueError as e:
                    wrong.append((number, "%s.%s: %s" % (side, v["name"], e)))
                if "param" not in v:
                    wrong.append((number, "%s.%s has a :type and no :param" % (side, v["name"])))
            v["description"] = v.pop("param", (0, ""))[1]
        found[side] = list(variables.values())
    return dict(found, summary="\n".join(summary).strip()), sorted(wrong)


def parse_types(text):
    names, comma, rest = text.partition(",")
    if comma and rest.strip() != "optional":
        raise ValueError("after the comma only 'optional' may stand, not %.40r" % rest.strip())
    types = [t.strip() for t in names.split(" or ")]
    for t in types:
        if t not in TYPES:
            raise ValueError("unknown type %.40r; known are %s" % (t, ", ".join(TYPES)))
    return types, bool(comma)


def described(function):
    """What the function's docstring says. DocstringError names the line in the source file of everything that is wrong with it; no docstring is none of these."""
    function = documented(function)
    doc = getattr(function, "__doc__", None)
    doc = doc if isinstance(doc, str) else ""
    description, wrong = parse_docstring(doc)
    if wrong:
        try:
            file, first = place(function, doc)
            lines = ["%s:%d: %s" % (file, first + number, text) for number, text in wrong]
        except (OSError, TypeError, ValueError, SyntaxError):  # its source is not there, or is something else
            lines = ["line %d of the docstring: %s" % (number + 1, text) for number, text in wrong]
        raise DocstringError("; ".join(lines))
    return description


def documented(function):
    """Where the docstring of something that can be called is: of functools.partial that of the function in it; of an object that of its __call__, if its class says nothing of variables."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)
    if not hasattr(function, "__code__") and hasattr(call, "__code__") and not mentions(function) and mentions(call):
        return call
    return function


def mentions(function):
    """Whether a docstring has fields about variables."""
    doc = getattr(function, "__doc__", None)
    return isinstance(doc, str) and any(FIELD.match(line.strip()) or ALMOST.match(line.strip()) for line in doc.split("\n"))


def place(function, doc):
    """The file and the first line of the function's docstring."""
    import ast
    import inspect
    import tokenize

    code = inspect.unwrap(function).__code__ if hasattr(function, "__code__") else None
    if code is None:
        raise TypeError("not written as a function")
    with tokenize.open(code.co_filename) as f:
        tree = ast.parse(f.read())
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == code.co_name:
            first = min([node.lineno] + [d.lineno for d in node.decorator_list])
            string = getattr(node.body[0], "value", None)
            if first == code.co_firstlineno and isinstance(getattr(string, "value", None), str) and string.value.count("\n") == doc.count("\n"):
                return code.co_filename, string.lineno
    raise ValueError("the docstring was not written there")
