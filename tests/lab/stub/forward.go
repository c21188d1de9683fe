package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const dialTime = 2 * time.Second

// forward is a load balancer in few words: each connection to the address STUB_FORWARD goes on to the first of STUB_TARGETS (host:port, with commas) that
// accepts it. It knows nothing of who leads among them.
func forward() error {
	listener, err := net.Listen("tcp", os.Getenv("STUB_FORWARD"))
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	go serve(func() bool { return true })
	context.AfterFunc(ctx, func() { listener.Close() })

	targets := strings.Split(os.Getenv("STUB_TARGETS"), ",")

	for {
		from, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}

		if err != nil {
			return err
		}

		go connect(from, targets)
	}
}

func connect(from net.Conn, targets []string) {
	defer from.Close()

	for _, target := range targets {
		to, err := net.DialTimeout("tcp", target, dialTime)
		if err != nil {
			log.Print("stub forward: ", err)

			continue
		}

		defer to.Close()

		var done sync.WaitGroup

		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			done.Go(func() {
				_, _ = io.Copy(pair[1], pair[0])
				// One side has ended; the other learns it.
				from.Close()
				to.Close()
			})
		}

		done.Wait()

		return
	}
}
