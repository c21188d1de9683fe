package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
)

const pollInterval = 20 * time.Millisecond

// Supervisor is the machine's power supply, reached by a unix socket: one command a line, one answer a line.
type Supervisor struct {
	socket string
}

// Do sends one command (reboot, poweroff, reset, cut, on) and returns when it is accepted.
func (s *Supervisor) Do(command string) error {
	answer, err := s.ask(command)
	if err != nil {
		return err
	}

	if answer != "ok" {
		return fmt.Errorf("supervisor: command %q: %s", command, answer)
	}

	return nil
}

// PowerCycle cuts the power, and switches it on again once the machine is off.
func (s *Supervisor) PowerCycle(ctx context.Context) error {
	if err := s.Do("cut"); err != nil {
		return err
	}

	for {
		answer, err := s.ask("status")
		if err != nil {
			return err
		}

		var status struct {
			Power string `json:"power"`
		}

		if err = json.Unmarshal([]byte(answer), &status); err != nil {
			return fmt.Errorf("supervisor: status %q: %w", answer, err)
		}

		if status.Power == "off" {
			return s.Do("on")
		}

		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return fmt.Errorf("supervisor: the machine does not go off: %w", ctx.Err())
		}
	}
}

func (s *Supervisor) ask(command string) (string, error) {
	connection, err := net.DialTimeout("unix", s.socket, 5*time.Second)
	if err != nil {
		return "", fmt.Errorf("supervisor: %w", err)
	}
	defer connection.Close() //nolint:errcheck

	if err = connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", fmt.Errorf("supervisor: %w", err)
	}

	if _, err = fmt.Fprintf(connection, "%s\n", command); err != nil {
		return "", fmt.Errorf("supervisor: command %q: %w", command, err)
	}

	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("supervisor: command %q: no answer: %w", command, err)
	}

	return strings.TrimSpace(answer), nil
}
