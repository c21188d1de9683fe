package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"time"
)

// functions of the templates: at (walks into nested objects by a dotted path; its last argument is for what is missing), key (the same for a
// field's key that has dots), dict (an empty object), lengths, json, now, contains, int.
var functions = template.FuncMap{
	"at": func(item any, path string, otherwise any) any {
		if found := at(item, strings.Split(path, ".")...); found != nil {
			return found
		}

		return otherwise
	},
	"key": func(item any, field, key string, otherwise any) any {
		if found := at(item, field, key); found != nil {
			return found
		}

		return otherwise
	},
	// lengths adds up how long the lists in a field of each object of a list are.
	"lengths": func(items any, field string) int {
		total := 0
		for _, item := range list(object{"items": items}, "items") {
			entries, _ := item[field].([]any)
			total += len(entries)
		}

		return total
	},
	"dict": func() object { return object{} },
	"json": func(item any) (string, error) {
		made, err := json.Marshal(item)

		return string(made), err
	},
	"now":      func() string { return time.Now().UTC().Format(time.RFC3339) },
	"contains": strings.Contains,
	"int":      func(item any) string { return fmt.Sprintf("%.0f", item) },
}

func expand(content string, data any) (string, error) {
	parsed, err := template.New("").Delims("<<", ">>").Funcs(functions).Parse(content)
	if err != nil {
		return "", err
	}

	var made bytes.Buffer
	if err = parsed.Execute(&made, data); err != nil {
		return "", err
	}

	return made.String(), nil
}

func expandInto(content string, data, into any) error {
	made, err := expand(content, data)
	if err != nil {
		return err
	}

	if err = json.Unmarshal([]byte(made), into); err != nil {
		return fmt.Errorf("%w in %s", err, made)
	}

	return nil
}

// keepTimes gives each condition the time of its last change: the one that it had where its status is the same, else now. It does so wherever in the
// status there are conditions.
func keepTimes(status, before any) {
	switch wanted := status.(type) {
	case object:
		former, _ := before.(object)

		for key, value := range wanted {
			if key == "conditions" {
				for _, condition := range list(status, "conditions") {
					condition["lastTransitionTime"] = changedAt(condition, list(before, "conditions"))
				}

				continue
			}

			keepTimes(value, former[key])
		}
	case []any:
		former, _ := before.([]any)

		for i, value := range wanted {
			if i < len(former) {
				keepTimes(value, former[i])
			} else {
				keepTimes(value, nil)
			}
		}
	}
}

func changedAt(condition object, former []object) string {
	for _, other := range former {
		if other["type"] == condition["type"] && other["status"] == condition["status"] && text(other, "lastTransitionTime") != "" {
			return text(other, "lastTransitionTime")
		}
	}

	return time.Now().UTC().Format(time.RFC3339)
}

// contains tells whether a merge of “part“ would change nothing in “whole“.
func contains(whole, part any) bool {
	wanted, ok := part.(object)
	if !ok {
		return reflect.DeepEqual(whole, part)
	}

	found, ok := whole.(object)
	if !ok {
		return false
	}

	for key, value := range wanted {
		if !contains(found[key], value) {
			return false
		}
	}

	return true
}
