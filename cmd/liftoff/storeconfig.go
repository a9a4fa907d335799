package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/broker"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/statefile"
	"github.com/liftoffmq/liftoff/internal/store"
)

// tables are what the files are there for; one without it counts as empty.
var tables = map[string]string{
	"topics.json":            "topicConfigTable",
	"subscriptionGroup.json": "subscriptionGroupTable",
	"consumerOffset.json":    "offsetTable",
	"delayOffset.json":       "offsetTable",
	"consumerFilter.json":    "filterDataByTopic",
}

// checkConfig reads the files of config/ and their copies.
func (k *storeCheck) checkConfig(found func(store.Finding)) {
	dir := filepath.Join(k.o.Config().RootDir, "config")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		found(store.Finding{Kind: "config", File: "config", At: -1, What: "there is none", Means: "a broker starts without topics, groups and offsets"})
		return
	}
	if err != nil {
		found(store.Finding{Kind: "config", Problem: true, File: "config", At: -1, What: err.Error(), Means: "no broker starts on this store", Do: "look at the folder's permissions"})
		return
	}
	seen := map[string]bool{}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".bak")
		isJSON := strings.HasSuffix(name, ".json") || name == "timermetrics" || name == "transactionMetrics"
		if e.IsDir() || !isJSON || seen[name] {
			continue
		}
		seen[name] = true
		k.checkConfigFile(filepath.Join(dir, name), name, found)
	}
}

func (k *storeCheck) checkConfigFile(path, name string, found func(store.Finding)) {
	why, whyBak := badConfig(path, name), badConfig(path+".bak", name)
	f := store.Finding{Kind: "config", File: "config/" + name, At: -1}
	switch {
	case why == nil && lacksTable(path, name):
		f.What, f.Means = "it has no "+tables[name], "a broker takes it as if there were nothing in it"
	case why == nil && (whyBak == nil || errors.Is(whyBak, fs.ErrNotExist)):
		return
	case why == nil:
		f.File += ".bak"
		f.What, f.Means = whyBak.Error(), "the file itself is good; its copy is replaced when it is written next"
	case whyBak == nil:
		f.Problem = true
		f.What, f.Means, f.Do = why.Error(), "a broker takes the copy "+name+".bak, which is older", "nothing, or --repair, which puts the copy in its place and keeps it in damaged/"
		k.config = append(k.config, path)
	case errors.Is(why, errEmptyFile) && (errors.Is(whyBak, fs.ErrNotExist) || errors.Is(whyBak, errEmptyFile)):
		f.What, f.Means = "it is empty", "a broker takes it as if nothing had ever been there"
	default:
		f.Problem = true
		f.What, f.Means, f.Do = why.Error()+"; its copy: "+whyBak.Error(), "no broker starts on this store, or without these data", "bring the file back from a copy or from `liftoff backup`"
	}
	found(f)
}

var errEmptyFile = errors.New("it is empty")

// badConfig says why a file cannot be used.
func badConfig(path, name string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return errEmptyFile
	}
	if st.Size() > statefile.MaxSize {
		return fmt.Errorf("it is %d bytes long", st.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var content map[string]any
	if err := fastjson.Unmarshal(data, &content); err != nil {
		return err
	}
	return broker.CheckStateFile(name, data)
}

// lacksTable says whether a file that can be used has not even the table that it is there for.
func lacksTable(path, name string) bool {
	data, err := os.ReadFile(path)
	var content map[string]any
	if err != nil || tables[name] == "" || fastjson.Unmarshal(data, &content) != nil {
		return false
	}
	return content[tables[name]] == nil
}

// repairConfig puts good copies into the place of damaged files.
func (k *storeCheck) repairConfig(dry bool, tell func(string)) error {
	for _, path := range slices.Clone(k.config) {
		name := filepath.Base(path)
		if dry {
			tell("would put config/" + name + ".bak into the place of config/" + name)
			continue
		}
		data, err := os.ReadFile(path + ".bak")
		if err != nil {
			return fmt.Errorf("cannot read copy of %q: %w", path, err)
		}
		if _, err := os.Stat(path); err == nil {
			aside := filepath.Join(k.o.Config().RootDir, "damaged", "config", name+"."+time.Now().Format("20060102150405"))
			if err := os.MkdirAll(filepath.Dir(aside), 0o755); err != nil {
				return fmt.Errorf("cannot put %q aside: %w", path, err)
			}
			if err := os.Rename(path, aside); err != nil {
				return fmt.Errorf("cannot put %q aside: %w", path, err)
			}
		}
		if err := statefile.Write(path, data); err != nil {
			return err
		}
		tell("put config/" + name + ".bak into the place of config/" + name)
	}
	return nil
}
