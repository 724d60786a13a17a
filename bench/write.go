package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-go/holdfast/bench/internal/report"
)

// write puts results where o says, and tells of it.
func write(o options, results report.Results, stdout io.Writer) error {
	if o.out != "" {
		data, err := json.MarshalIndent(results, "", "\t")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return err
		}
		for name, content := range map[string]string{
			"results.md":   results.Markdown(),
			"results.json": string(data) + "\n",
			"chart.svg":    results.Chart(),
		} {
			if err := os.WriteFile(filepath.Join(o.out, name), []byte(content), 0o644); err != nil {
				return err
			}
		}
		_, _ = fmt.Fprintf(stdout, "\nwritten to %s: results.md, results.json, chart.svg\n", o.out)
	}
	if o.readme == "" {
		return nil
	}
	old, err := os.ReadFile(o.readme)
	if err != nil {
		return err
	}
	text, err := results.Replace(string(old))
	if err != nil {
		return fmt.Errorf("%s: %w", o.readme, err)
	}
	return os.WriteFile(o.readme, []byte(text), 0o644)
}
