package main

import (
	"bytes"
	"fmt"
	"os/exec"
)

// RedirectLocalCalls leads calls from inside the machine to its own address, port 50000, to the front as well: apid calls its own machine that way when
// a client names it among others (talosctl -n). Calls to the loopback address stay with apid; they are the front's own. The lab
// clears the rules at each power-on, so this is done whenever the machine's API comes up.
func RedirectLocalCalls(port string) error {
	const table = "trinode_front_local"

	rules := fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
  chain output {
    type nat hook output priority -100;
    ip daddr 127.0.0.0/8 return
    oifname "lo" tcp dport 50000 redirect to :%[2]s
  }
}
`, table, port)

	command := exec.Command("nft", "-f", "-")
	command.Stdin = bytes.NewBufferString(rules)

	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}

	return nil
}
