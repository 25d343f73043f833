// Package translate turns a module's manifests into the objects that run it on Knative.
//
// It is a function: bytes in, objects and findings out. No network, clock, randomness or
// environment; the same input gives the same bytes, whatever the order of files and documents.
// Every field is used, or named in a note with the reason why it has no effect, or is an error with
// its place. All findings of all files come at once, sorted; when there is an error among them
// there are no objects.
package translate
