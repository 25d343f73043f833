// Command hello is the trivial Go service that the benchmarks hold unip's cold start against; with
// the argument idle it is a container that does nothing, and with echo it answers with what it gets.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "idle" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return
	}
	port := os.Getenv("PORT") // Knative's contract
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if len(os.Args) == 1 {
			fmt.Fprintln(w, "hello")
			return
		}
		err := http.NewResponseController(w).EnableFullDuplex()
		if _, copied := io.Copy(w, r.Body); err != nil || copied != nil {
			log.Print(err, copied)
			panic(http.ErrAbortHandler) // the caller must not take a part for all
		}
	})
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
