// SPDX-License-Identifier: BSD-2-Clause
// A QUIC server and its client (quic-go): quic serve ADDRESS; quic ask ADDRESS COUNT SECONDS.
// The client makes COUNT connections, or as many as there is time for, 8 at once, asks on a stream of each, prints one
// answer, and how many were right and wrong.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
)

const protocol = "whoami"

func certificate() tls.Certificate {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func host(address net.Addr) string {
	name, _, _ := net.SplitHostPort(address.String())
	return name
}

func answer(connection quic.Connection) {
	stream, err := connection.AcceptStream(context.Background())
	if err != nil {
		return
	}
	io.ReadAll(stream)
	fmt.Fprintf(stream, "client=%s server=%s\n", host(connection.RemoteAddr()), host(connection.LocalAddr()))
	stream.Close()
}

func serve(address string) {
	listener, err := quic.ListenAddr(
		address, &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{protocol}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		go answer(connection)
	}
}

func ask(address string) (string, error) {
	connection, err := quic.DialAddr(
		address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}},
		&quic.Config{HandshakeIdleTimeout: 5 * time.Second, MaxIdleTimeout: 5 * time.Second})
	if err != nil {
		return "", err
	}
	defer connection.CloseWithError(0, "")
	stream, err := connection.OpenStreamSync(context.Background())
	if err != nil {
		return "", err
	}
	fmt.Fprint(stream, "who am I")
	stream.Close()
	text, err := io.ReadAll(stream)
	return string(text), err
}

func load(address string, count int, seconds int) {
	var lock sync.Mutex
	var workers sync.WaitGroup
	var started, right, wrong int
	var example string
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	more := func() bool {
		lock.Lock()
		defer lock.Unlock()
		started++
		return started <= count && time.Now().Before(end)
	}
	for i := 0; i < 8; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for more() {
				text, err := ask(address)
				lock.Lock()
				if err == nil && strings.Contains(text, "client=") {
					right++
					example = text
				} else {
					wrong++
				}
				lock.Unlock()
			}
		}()
	}
	workers.Wait()
	fmt.Printf("%sok=%d failed=%d\n", example, right, wrong)
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	count, _ := strconv.Atoi(os.Args[3])
	seconds, _ := strconv.Atoi(os.Args[4])
	load(os.Args[2], count, seconds)
}
