package report

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// A Machine is what the numbers depend on. It names no host.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"` // that Go may use
	System    string `json:"system"`
	Go        string `json:"go"`
}

// A Module is a library's version.
type Module struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// ThisMachine is the one that this runs on.
func ThisMachine() Machine {
	return Machine{
		Processor: processor(),
		Cores:     runtime.GOMAXPROCS(0),
		System:    runtime.GOOS + "/" + runtime.GOARCH,
		Go:        runtime.Version(),
	}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s", m.Processor, m.Cores, m.System, m.Go)
}

func processor() string {
	switch runtime.GOOS {
	case "linux":
		file, err := os.Open("/proc/cpuinfo")
		if err != nil {
			break
		}
		defer func() { _ = file.Close() }()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	case "darwin":
		if out, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil { //nolint:noctx // it answers at once
			return strings.TrimSpace(string(out))
		}
	}
	return "unknown processor"
}

// Versions are those of the modules that columns are made of, as this program was built with them. This
// checkout's own has no version.
func Versions(columns []Column) []Module {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var modules []Module
	for _, c := range columns {
		for _, path := range c.Modules {
			for _, dep := range info.Deps {
				m := Module{path, dep.Version}
				if dep.Path == path && dep.Replace == nil && !slices.Contains(modules, m) {
					modules = append(modules, m)
				}
			}
		}
	}
	return modules
}
