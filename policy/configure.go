package policy

import (
	"errors"
	"sync"
)

var errNoChange = errors.New("policy: Configure was given a nil func")

// reconfigure has change edit a copy of a core's settings, without the lock, and puts them in place if they are valid.
func reconfigure[C interface{ Validate() error }](mu sync.Locker, change func(C), settings func() C, fixed func(C) error, use func(C)) error {
	if change == nil {
		return errNoChange
	}
	mu.Lock()
	changed := settings()
	mu.Unlock()
	change(changed)
	if err := errors.Join(fixed(changed), changed.Validate()); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	use(changed)
	return nil
}

// fixed is an error for every field that was set and cannot be changed.
func fixed(owner string, set map[string]bool) error {
	p := problems{owner: owner}
	for _, name := range []string{"Name", "OnChange", "Clock", "Rand"} {
		if set[name] {
			p.add(".%s cannot be changed", name)
		}
	}
	return p.join()
}
