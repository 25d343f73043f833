"""FastAPI with pydantic models of the request: /predict is an `async def` handler, /plain/predict a plain `def` one, which FastAPI runs in a thread. The tensor's elements are not checked by pydantic
(`data: list`), as unip does not: `List[float]` would cost these handlers more."""

from typing import List, Optional, Union

import function
import metrics
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

try:
    import orjson  # noqa: F401
    from fastapi.responses import ORJSONResponse as JSON
except ImportError:
    JSON = JSONResponse


class Variable(BaseModel):
    name: str
    datatype: Optional[str] = None
    shape: Union[int, List[int], None] = None
    data: Union[list, dict, str]


class Request(BaseModel):
    inputs: List[Variable]
    parameters: list = []
    output_fields: list = []
    model_key: Optional[str] = None


app = FastAPI(default_response_class=JSON)
app.add_middleware(metrics.ASGI)


@app.post("/predict")
async def predict(request: Request):
    return {"outputs": function.predict([vars(v) for v in request.inputs])}


@app.post("/plain/predict")
def plain(request: Request):
    return {"outputs": function.predict([vars(v) for v in request.inputs])}


@app.get("/metrics")
def exposition():
    return Response(metrics.exposition(), media_type="text/plain")
