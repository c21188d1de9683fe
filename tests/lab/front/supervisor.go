package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// Supervisor is the machine's power supply, reached by a unix socket: one command a line, one answer a line.
type Supervisor struct {
	socket string
}

// Do sends one command (reboot, poweroff, reset) and returns when it is accepted.
func (s *Supervisor) Do(command string) error {
	connection, err := net.DialTimeout("unix", s.socket, 5*time.Second)
	if err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	defer connection.Close() //nolint:errcheck

	if err = connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}

	if _, err = fmt.Fprintf(connection, "%s\n", command); err != nil {
		return fmt.Errorf("supervisor: command %q: %w", command, err)
	}

	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return fmt.Errorf("supervisor: command %q: no answer: %w", command, err)
	}

	if answer = strings.TrimSpace(answer); answer != "ok" {
		return fmt.Errorf("supervisor: command %q: %s", command, answer)
	}

	return nil
}
