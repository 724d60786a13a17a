package pipeline_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/holdfast/pipeline"
	"github.com/holdfast-go/holdfast/policy"
)

// configured are values for fields, by their struct, that are not what the field means when it is empty.
var configured = map[reflect.Type]map[string]any{
	reflect.TypeFor[policy.Retry[int]](): {
		"Attempts": 5, "Backoff": policy.Constant(1), "MaxElapsed": time.Hour, "MaxHint": time.Hour,
		"Hint": func(int, error) time.Duration { return 0 }, "Budget": new(policy.Budget), "Classify": classify,
	},
	reflect.TypeFor[policy.Budget]():       {"Ratio": 0.7, "Cap": 7.0, "TTL": time.Hour},
	reflect.TypeFor[policy.Breaker[int]](): {"Classify": classify},
	reflect.TypeFor[policy.Circuit](): {
		"Trip": policy.Consecutive(9), "Cooldown": policy.Constant(1), "Probes": 7, "Successes": 7, "ProbeLease": time.Hour,
		"Slow": time.Hour, "RampUp": time.Hour,
	},
	reflect.TypeFor[policy.Timeout[int]]():  {"Limit": time.Hour, "Detach": true},
	reflect.TypeFor[policy.Fallback[int]](): {"Classify": classify},
	reflect.TypeFor[policy.Gate]():          {"Limit": 7, "Queue": 7, "MaxWait": time.Hour},
	reflect.TypeFor[policy.Bucket]():        {"Rate": 7, "Per": time.Hour, "Burst": 7, "MaxWait": time.Hour},
	reflect.TypeFor[policy.Shed[int]]():     {"Classify": classify},
	reflect.TypeFor[policy.Throttle]():      {"K": 7.0, "Window": time.Hour, "MaxDrop": 0.7},
	reflect.TypeFor[policy.Adaptive[int]](): {"Priority": func(context.Context) int { return 0 }, "Classify": classify},
	reflect.TypeFor[policy.Limit]():         {"Algorithm": policy.AIMD{}, "Initial": 7, "Min": 7, "Max": 70},
	reflect.TypeFor[policy.Hedge[int]](): {
		"Delay": time.Hour, "Quantile": 0.7, "Max": 7, "Budget": new(policy.Budget), "Classify": classify,
	},
	reflect.TypeFor[policy.Stale[int]](): {"MaxAge": time.Hour, "Key": ofNothing, "Keys": 7, "Classify": classify},
	reflect.TypeFor[policy.Chaos[int]](): {
		"Rate": 0.7, "Script": func(int) policy.Fault { return policy.Fault{} }, "Fault": policy.Fault{Latency: 1},
		"Result": func(context.Context) (int, error) { return 0, nil },
	},
	reflect.TypeFor[policy.Fault](): {"Latency": time.Hour, "Err": errors.New("down"), "Panic": "boom"},
}

var classify = policy.Classifier[int](policy.Classify[int])

func ofNothing(context.Context) string { return "" }

// selfEvident are fields that a policy cannot be without, or that have no say in what becomes of calls.
var selfEvident = []string{
	"Clock", "Rand", "OnChange", "Discard", "Func", "Switch", "Circuit", "Gate", "Bucket", "Throttle", "Limit", "Key",
}

// What is configured can be read in what Explain prints.
func TestExplainTellsOfEveryField(t *testing.T) {
	for _, build := range []func() (p policy.Policy[int], fields any){
		func() (policy.Policy[int], any) { p := &policy.Retry[int]{}; return p, p },
		func() (policy.Policy[int], any) { b := &policy.Budget{}; return &policy.Retry[int]{Budget: b}, b },
		func() (policy.Policy[int], any) { p := &policy.Breaker[int]{Circuit: new(policy.Circuit)}; return p, p },
		func() (policy.Policy[int], any) { c := &policy.Circuit{}; return &policy.Breaker[int]{Circuit: c}, c },
		func() (policy.Policy[int], any) { p := &policy.Timeout[int]{Limit: 1}; return p, p },
		func() (policy.Policy[int], any) { p := &policy.Fallback[int]{Func: policy.Static(1)}; return p, p },
		func() (policy.Policy[int], any) { p := &policy.Bulkhead[int]{Gate: new(policy.Gate)}; return p, p },
		func() (policy.Policy[int], any) {
			g := &policy.Gate{Queue: 1}
			return &policy.Bulkhead[int]{Gate: g}, g
		},
		func() (policy.Policy[int], any) { p := &policy.RateLimit[int]{Bucket: new(policy.Bucket)}; return p, p },
		func() (policy.Policy[int], any) { b := &policy.Bucket{}; return &policy.RateLimit[int]{Bucket: b}, b },
		func() (policy.Policy[int], any) { p := &policy.Shed[int]{Throttle: new(policy.Throttle)}; return p, p },
		func() (policy.Policy[int], any) { s := &policy.Throttle{}; return &policy.Shed[int]{Throttle: s}, s },
		func() (policy.Policy[int], any) { p := &policy.Adaptive[int]{Limit: new(policy.Limit)}; return p, p },
		func() (policy.Policy[int], any) { l := &policy.Limit{}; return &policy.Adaptive[int]{Limit: l}, l },
		func() (policy.Policy[int], any) { p := &policy.Hedge[int]{Delay: 1}; return p, p },
		func() (policy.Policy[int], any) {
			b := &policy.Budget{}
			return &policy.Hedge[int]{Delay: 1, Budget: b}, b
		},
		func() (policy.Policy[int], any) { p := &policy.Stale[int]{MaxAge: 1}; return p, p },
		func() (policy.Policy[int], any) { p := &policy.Dedupe[int]{Key: ofNothing}; return p, p },
		func() (policy.Policy[int], any) { p := &policy.Chaos[int]{Switch: new(policy.Switch)}; return p, p },
		func() (policy.Policy[int], any) {
			p := &policy.Chaos[int]{Switch: new(policy.Switch)}
			return p, &p.Fault
		},
	} {
		p, fields := build()
		plain := settings(p)
		of := reflect.TypeOf(fields).Elem()
		for i := range of.NumField() {
			name := of.Field(i).Name
			value, ok := configured[of][name]
			if name == "Name" {
				value, ok = "its name", true
			}
			if !ok {
				require.True(t, !of.Field(i).IsExported() || slices.Contains(selfEvident, name), "%v.%s has no value here", of, name)
				continue
			}
			p, fields := build()
			reflect.ValueOf(fields).Elem().Field(i).Set(reflect.ValueOf(value))
			require.NotEqual(t, plain, settings(p), "%v.%s does not show", of, name)
		}
	}
}

// settings is what Explain says of a policy itself.
func settings(p policy.Policy[int]) pipeline.Node { return pipeline.Wrap(p).Explain().Policies[0] }

// Where there is much to tell, it is told in lines that a terminal can hold; a setting is never torn apart.
func TestExplainKeepsToItsWidth(t *testing.T) {
	long := strings.Repeat("n", 150)
	text := pipeline.Wrap[int](
		&policy.Retry[int]{Budget: new(policy.Budget), Classify: classify, MaxElapsed: time.Hour},
		&policy.Breaker[int]{Circuit: &policy.Circuit{Slow: time.Hour, RampUp: time.Hour}},
		&policy.Timeout[int]{Name: long, Limit: time.Hour},
	).String()
	wide := 0
	tree, _, _ := strings.Cut(text, "at worst")
	for line := range strings.Lines(tree) {
		if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 110 {
			require.Equal(t, "      └─ timeout "+long+": limit 1h0m0s", line)
			wide++
		}
	}
	require.Equal(t, 1, wide, text)
	require.Contains(t, text, ",\n     max hint 1m0s (default), budget 0.1 of calls up to 1, for 10s (default), classify custom\n")
}
