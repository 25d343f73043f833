// Package stage is the contract between the controller and the two containers of ours in a stage's
// Job: what `fetch` has to bring before the user's container starts (FetchPlan), what `publish` has
// to take away after it (PublishPlan), and the commit with which one attempt of a stage wins.
//
// Where things lie in a module's run bucket:
//
//	runs/<run>/<stage>/<attempt>/<output>/<path>   a file of one attempt
//	runs/<run>/<stage>/<attempt>.packs/<output>/…  its small files, many in one object (Pack)
//	runs/<run>/<stage>/<attempt>.log               the end of one attempt's log (text)
//	runs/<run>/<stage>/commit                      the Commit of the attempt that won; written once,
//	                                               by a conditional PUT
//
// A chain's stage is named "<pipeline>/<stage>"; its slash is part of the key.
package stage
