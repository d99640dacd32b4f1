// SPDX-License-Identifier: BSD-2-Clause

// whoami ADDRESS: a web server that says which client it sees, and under which address it was reached.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		server, _, _ := net.SplitHostPort(local.String())
		fmt.Fprintf(w, "client=%s server=%s\n", client, server)
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
