// monitoring_syntax reads the files of the monitoring components with the parsers of the programs that will read them: an Alloy configuration (*.alloy),
// Prometheus rules (in a directory rules) with their templates, and the queries of dashboards (any other). It prints what is wrong and exits 1.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	alloy "github.com/grafana/alloy/syntax/parser"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"
)

type dashboard struct {
	Panels []struct {
		Title   string
		Queries []struct{ Expr string }
	}
}

func main() {
	var wrong []error

	for _, path := range os.Args[1:] {
		content, err := os.ReadFile(path)
		if err != nil {
			wrong = append(wrong, err)

			continue
		}

		for _, problem := range check(path, content) {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, problem))
		}
	}

	for _, problem := range wrong {
		fmt.Println(problem)
	}

	if len(wrong) > 0 {
		os.Exit(1)
	}
}

func check(path string, content []byte) []error {
	if strings.HasSuffix(path, ".alloy") {
		if _, err := alloy.ParseFile(path, content); err != nil {
			return []error{err}
		}

		return nil
	}

	if filepath.Base(filepath.Dir(path)) == "rules" {
		_, problems := rulefmt.Parse(content, false)

		return problems
	}

	var read dashboard
	if err := yaml.Unmarshal(content, &read); err != nil {
		return []error{err}
	}

	var problems []error

	for _, panel := range read.Panels {
		for _, query := range panel.Queries {
			// Grafana puts a duration in its place.
			if _, err := parser.ParseExpr(strings.ReplaceAll(query.Expr, "$__rate_interval", "5m")); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", panel.Title, err))
			}
		}
	}

	return problems
}
