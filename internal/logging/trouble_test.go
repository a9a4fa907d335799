package logging

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestTrouble_IsToldSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var trouble Trouble
		told := 0
		failFor := func(d time.Duration, err func(i int) error) {
			told = 0
			for i := range int(d / time.Second) {
				if trouble.Failed(err(i)) {
					told++
				}
				time.Sleep(time.Second)
			}
		}
		full := func(i int) error { return fmt.Errorf("cannot write file %d: %w", i, syscall.ENOSPC) }
		if _, over := trouble.Passed(); over {
			t.Error("what never was is over")
		}
		if failFor(14*time.Minute, full); told != 3 {
			t.Errorf("told %d times in 14 minutes", told)
		}
		if failFor(time.Second, func(int) error { return syscall.EMFILE }); told != 1 {
			t.Error("another reason is not told")
		}
		if failFor(time.Minute, func(i int) error { return errors.New(fmt.Sprint("reason ", i)) }); told != 6 {
			t.Errorf("a reason that changes all the time is told %d times in a minute", told)
		}
		if lasted, over := trouble.Passed(); !over || lasted != 15*time.Minute+time.Second {
			t.Error(lasted, over)
		}
		if _, over := trouble.Passed(); over {
			t.Error("it is over twice")
		}
		if failFor(time.Second, full); told != 1 {
			t.Error("the next one is not told")
		}
	})
}

func TestTrouble_IsOverWhenAllIsCalm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		trouble := Trouble{Calm: 10 * time.Second}
		trouble.Failed(syscall.EMFILE)
		time.Sleep(9 * time.Second)
		if _, over := trouble.Passed(); over || trouble.Failed(syscall.EMFILE) {
			t.Error("what goes well now and then has ended it")
		}
		time.Sleep(10 * time.Second)
		if lasted, over := trouble.Passed(); !over || lasted != 19*time.Second {
			t.Error(lasted, over)
		}
	})
}

func TestAdvised_SaysWhatHelps(t *testing.T) {
	t.Parallel()
	for err, advice := range map[error]string{syscall.EMFILE: "ulimit -n", syscall.ENFILE: "fs.file-max", syscall.ENOSPC: ""} {
		if got := Advised(err); !errors.Is(got, err) || !strings.Contains(got.Error(), advice) || advice == "" && got != err {
			t.Error(got)
		}
	}
}
