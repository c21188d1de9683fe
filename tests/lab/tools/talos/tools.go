//go:build tools

// Package tools pins the programs that the lab builds from this module.
package tools

import (
	_ "github.com/siderolabs/talos/cmd/talosctl"
)
