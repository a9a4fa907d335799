// Command goclient does with the official Go client what the interop tests ask for: one command a line comes on standard
// input, in the encoding of web forms, and each is answered by one line on standard output with the same id. Commands run
// at the same time. The end of the input ends the program, so that nothing stays behind when the tests die.
package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// A form is one line between the tests and this program. Bodies travel in it as base64.
type form struct{ url.Values }

func newForm() form { return form{url.Values{}} }

func (f form) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(f.Get(key)); err == nil {
		return n
	}
	return otherwise
}

func (f form) text(key, otherwise string) string {
	if f.Has(key) {
		return f.Get(key)
	}
	return otherwise
}

func (f form) flag(key string) bool { return f.Get(key) == "1" }

func (f form) bytes(key string) ([]byte, error) { return base64.URLEncoding.DecodeString(f.Get(key)) }

func (f form) millis(key string) time.Duration {
	return time.Duration(f.number(key, 0)) * time.Millisecond
}

func (f form) add(key string, value any) form {
	f.Add(key, fmt.Sprint(value))
	return f
}

// line is the form as one line. Several values of one key become the lines of one value, for there is a limit to how many
// a reader takes.
func (f form) line() string {
	joined := url.Values{}
	for key, values := range f.Values {
		joined.Set(key, strings.Join(values, "\n"))
	}
	return joined.Encode()
}

// A command does one thing and says what came of it.
type command func(form) (form, error)

func main() {
	rlog.SetLogLevel("warn")
	out := os.Stdout
	os.Stdout = os.Stderr // what a library prints must not get between the answers
	all := map[string]command{}
	newProducers().register(all)
	newConsumers().register(all)
	newTransactions().register(all)
	if err := serve(os.Stdin, out, all); err != nil {
		log.Fatal(err)
	}
}

func serve(in io.Reader, out io.Writer, all map[string]command) error {
	var mu sync.Mutex // one answer at a time
	lines := bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read a command: %w", err)
		}
		values, err := url.ParseQuery(line[:len(line)-1])
		if err != nil {
			return fmt.Errorf("cannot read a command: %w", err)
		}
		go func() {
			answer := run(all, form{values}).add("id", values.Get("id"))
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintln(out, answer.line())
		}()
	}
}

func run(all map[string]command, in form) (answer form) {
	defer func() {
		if p := recover(); p != nil {
			answer = newForm().add("error", fmt.Sprint("panic: ", p))
		}
	}()
	do, ok := all[in.Get("op")]
	if !ok {
		return newForm().add("error", "no such command")
	}
	answer, err := do(in)
	if err != nil {
		return newForm().add("error", err.Error())
	}
	return answer
}
