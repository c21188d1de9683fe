package main

import (
	"encoding/json"
	"log"
	"os"
	"time"
)

// Timeline appends events to the lab's record (JSON lines, one write each).
type Timeline struct {
	path    string
	machine string
}

// Fields are an event's own values.
type Fields map[string]any

// Record appends an event. Changes says that the event changed the machine, so that a test can tell a run that changed nothing.
func (t *Timeline) Record(event string, changes bool, fields Fields) {
	entry := map[string]any{}

	for name, value := range fields {
		entry[name] = value
	}

	entry["time"] = float64(time.Now().UnixMilli()) / 1000
	entry["machine"] = t.machine
	entry["event"] = event

	if changes {
		entry["changes"] = true
	}

	line, err := json.Marshal(entry)
	if err != nil {
		log.Printf("timeline: event %s cannot be written: %v", event, err)

		return
	}

	file, err := os.OpenFile(t.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		log.Printf("timeline: %v", err)

		return
	}
	defer file.Close() //nolint:errcheck

	if _, err = file.Write(append(line, '\n')); err != nil {
		log.Printf("timeline: %v", err)
	}
}
