// SPDX-License-Identifier: BSD-2-Clause

// http3 COUNT CONCURRENCY URL: gets the URL so many times over HTTP/3, each on a connection of its own, and prints the
// different answers with their numbers. Certificates are not looked at.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/http3"
)

// A server may listen before it has read its certificates (Caddy): such a refusal is no loss, and tried again.
func get(url string) string {
	for {
		answer := getOnce(url)
		if !strings.Contains(answer, "tls: internal error") {
			return answer
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func getOnce(url string) string {
	transport := &http3.RoundTripper{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		QuicConfig:      &quic.Config{HandshakeIdleTimeout: 20 * time.Second},
	}
	defer transport.Close()
	answer, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(url)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return answer.Proto + " " + string(page)
}

func main() {
	count, _ := strconv.Atoi(os.Args[1])
	concurrency, _ := strconv.Atoi(os.Args[2])
	var lock sync.Mutex
	var running sync.WaitGroup
	answers, turns := map[string]int{}, make(chan bool, concurrency)
	for i := 0; i < count; i++ {
		turns <- true
		running.Add(1)
		go func() {
			defer running.Done()
			text := get(os.Args[3])
			lock.Lock()
			answers[text]++
			lock.Unlock()
			<-turns
		}()
	}
	running.Wait()
	for text, number := range answers {
		fmt.Println(number, text)
	}
}
