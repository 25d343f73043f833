"""aiohttp, without pydantic: what the request must be is checked by hand."""

import json
from time import perf_counter

import function
import metrics
from aiohttp import web

try:
    import orjson

    loads, dumps = orjson.loads, lambda v: orjson.dumps(v).decode()
except ImportError:
    loads, dumps = json.loads, json.dumps


@web.middleware
async def counted(request, handler):
    started, status = perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as e:
        status = e.status
        raise
    finally:
        metrics.done(request.method, request.path, status, started)


async def predict(request):
    body = await request.json(loads=loads)
    if not isinstance(body, dict) or not isinstance(body.get("inputs"), list):
        raise web.HTTPBadRequest()
    return web.json_response({"outputs": function.predict(body["inputs"])}, dumps=dumps)


async def exposition(_):
    return web.Response(body=metrics.exposition(), content_type="text/plain")


app = web.Application(middlewares=[counted], client_max_size=64 << 20)
app.add_routes([web.post("/predict", predict), web.get("/metrics", exposition)])
