"""Flask, without pydantic: what the request must be is checked by hand."""

from time import perf_counter

import function
import metrics
from flask import Flask, Response, abort, g, jsonify, request

app = Flask(__name__)


@app.before_request
def before():
    g.started = perf_counter()


@app.after_request
def after(response):
    metrics.done(request.method, request.path, response.status_code, g.started)
    return response


@app.post("/predict")
def predict():
    body = request.get_json()
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list):
        abort(400)
    return jsonify({"outputs": function.predict(body["inputs"])})


@app.get("/metrics")
def exposition():
    return Response(metrics.exposition(), mimetype="text/plain")
