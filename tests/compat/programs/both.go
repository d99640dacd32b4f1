// SPDX-License-Identifier: BSD-2-Clause
// Serves a page over TCP and echoes datagrams on the same port: both PORT.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

func whoami(w http.ResponseWriter, r *http.Request) {
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	local := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	server, _, _ := net.SplitHostPort(local.String())
	fmt.Fprintf(w, "client=%s server=%s\n", client, server)
}

func echo(socket net.PacketConn) {
	buffer := make([]byte, 65536)
	for {
		count, peer, err := socket.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		client := peer.(*net.UDPAddr).IP
		socket.WriteTo([]byte(fmt.Sprintf("%sclient=%s\n", buffer[:count], client)), peer)
	}
}

func main() {
	socket, err := net.ListenPacket("udp", ":"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	go echo(socket)
	log.Fatal(http.ListenAndServe(":"+os.Args[1], http.HandlerFunc(whoami)))
}
