package openapi

import "github.com/unip-knative/unip/eventing/routes"

// runs describes the general API of pipelines and their runs.
func runs(api routes.API) object {
	places := object{"type": "object", "additionalProperties": text()}
	stage := having(object{
		"name": text(), "needs": list(text()), "status": text(), "attempt": whole(), "failures": whole(),
		"waiting_since": moment(), "waited_seconds": whole(), "started_at": moment(), "ended_at": moment(),
		"exit_code": object{"type": "integer"}, "reason": text(), "message": text(), "files": whole(), "bytes": whole(),
	}, "name", "status")
	run := having(object{
		"run_id": text(), "pipeline": text(), "status": text(), "message": text(), "notes": list(text()),
		"origin": text(), "created_at": moment(), "started_at": moment(), "ended_at": moment(), "inputs": places,
		"outputs": places, "stages": list(stage),
	}, "run_id", "pipeline", "status")
	pipeline := having(object{
		"name": text(), "inputs": list(text()), "outputs": list(text()), "stages": list(text()),
		"continue_with": text(),
	}, "name", "inputs", "outputs", "stages")
	id := in("path", "run", "the run_id", text())
	get := func(summary string, parameters []object, good object) object {
		return object{"get": operation(summary, api.Auth, parameters, object{"200": good})}
	}
	streamed := func(description, mediaType string) object {
		return object{"description": description, "content": object{mediaType: object{"schema": text()}}}
	}
	body := having(object{"inputs": places, "outputs": places})
	return object{
		"/": get("The module's pipelines", nil, answer("the pipelines", having(object{"pipelines": list(pipeline)},
			"pipelines"))),
		"/runs": get("The caller's runs, newest first", []object{
			in("query", "pipeline", "only those of this pipeline", text()),
			in("query", "status", "only those in this state: Pending, Running, Succeeded, Failed or Cancelled", text()),
			in("query", "limit", "the most", object{"type": "integer", "minimum": 1, "maximum": 500, "default": 50}),
			in("query", "continue", "next of the page before", text()),
		}, answer("a page of runs, without their stages", having(object{"runs": list(run), "next": text()}, "runs"))),
		"/runs/{run}": get("One run with its stages", []object{id}, answer("the run", run)),
		"/runs/{run}/logs": get("The log of a run", []object{
			id, in("query", "stage", "only that of this stage", text()),
			in("query", "attempt", "that of this attempt of the stage, from 1", whole()),
			in("query", "follow", "go on until the run has ended", object{"type": "boolean"}),
		}, streamed("the log", "text/plain")),
		"/runs/{run}/events": get("The run now and at each change, until it ends", []object{id},
			streamed("server-sent events: run", "text/event-stream")),
		"/runs/{run}/cancel": object{"post": operation("End a run", api.Auth, []object{id}, object{
			"200": answer("it had ended before", run), "202": answer("it ends", run),
		})},
		"/{pipeline}/run": object{"post": start(api, "Start a run of a pipeline by its own API",
			[]object{in("path", "pipeline", "the pipeline's name", text())}, body)},
	}
}
