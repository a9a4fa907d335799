package config

import (
	"errors"
	"reflect"
	"testing"
)

func TestLoadBroker_LetsTheFilesDecideAboutOldSpellingsOfSizes(t *testing.T) {
	t.Parallel()
	const queue, log = "mappedFileSizeConsumeQueue", "mappedFileSizeCommitLog"
	check := func(text string, files map[string]int64, queueSize, logSize int, note string) {
		t.Helper()
		find := func(root string, dirs ...string) (map[string]int64, error) {
			if root != "/s" || len(dirs) != 1 || dirs[0] != "/l" {
				t.Errorf("looked for files in %s and %s", root, dirs)
			}
			return files, nil
		}
		b, notes, err := LoadBroker(Sources{File: brokerFile(t, text+"\nstorePathRootDir=/s\nstorePathCommitLog=/l"), FileSizes: find})
		if err != nil || b.ConsumeQueueFileSize != queueSize || b.CommitLogFileSize != logSize {
			t.Errorf("%q with files %v gives %d and %d, %v", text, files, b.ConsumeQueueFileSize, b.CommitLogFileSize, err)
		}
		if len(notes) != 1 || notes[0].Level.String()+" "+notes[0].Key+": "+notes[0].Text != note || notes[0].Line != 1 {
			t.Errorf("%q with files %v says\n%v\nwant\n%s", text, files, notes, note)
		}
	}
	const oldQueue = "mapedFileSizeConsumeQueue"
	fresh := "WARN " + oldQueue + ": 6000000 counts, the default: RocketMQ does not act on this spelling since 4.5.2, and there are no files yet; " +
		"set mappedFileSizeConsumeQueue if it is to be another"
	other := "WARN " + oldQueue + ": 6000000 counts, the default: RocketMQ does not act on this spelling since 4.5.2, and the files that are there are "
	taken := "WARN " + oldQueue + ": 300000 counts, for the files that are there have that size; RocketMQ does not act on this spelling since 4.5.2 and would not open them: " +
		"set mappedFileSizeConsumeQueue=300000"
	check("mapedFileSizeConsumeQueue=300000", nil, 6000000, 1<<30, fresh)
	check("mapedFileSizeConsumeQueue=300000", map[string]int64{queue: 300000, log: 1 << 30}, 300000, 1<<30, taken)
	check("mapedFileSizeConsumeQueue=299981 ", map[string]int64{queue: 300000}, 300000, 1<<30, taken)
	check("mapedFileSizeConsumeQueue=300000", map[string]int64{queue: 6000000}, 6000000, 1<<30, other+"6000000 bytes long")
	check("mapedFileSizeConsumeQueue=300000", map[string]int64{queue: 400000}, 6000000, 1<<30, other+"400000 bytes long")
	check("mapedFileSizeConsumeQueue=many", map[string]int64{queue: 400000}, 6000000, 1<<30, other+"400000 bytes long")
	check("mapedFileSizeCommitLog=1073741824", nil, 6000000, 1<<30,
		"INFO mapedFileSizeCommitLog: has no effect: RocketMQ spells it mappedFileSizeCommitLog since 4.5.2; the value is the default")
	check("mapedFileSizeCommitLog=65536", map[string]int64{log: 65536}, 6000000, 65536, "WARN mapedFileSizeCommitLog: 65536 counts, for the files that are there "+
		"have that size; RocketMQ does not act on this spelling since 4.5.2 and would not open them: set mappedFileSizeCommitLog=65536")
	check("mapedFileSizeCommitLog=65536\nmappedFileSizeCommitLog=131072", map[string]int64{log: 65536}, 6000000, 131072,
		"INFO mapedFileSizeCommitLog: has no effect: mappedFileSizeCommitLog, as RocketMQ spells it since 4.5.2, is set and counts")
}

func TestLoadBroker_TakesSizesOnlyAsRocketMQSpellsThem(t *testing.T) {
	t.Parallel()
	b, notes, err := LoadBroker(Sources{File: brokerFile(t, "mappedFileSizeBatchConsumeQueue=4600\nmapedFileSizeTimerLog=5200")})
	if err != nil || b.BatchQueueFileSize != 13_800_000 || b.TimerLogFileSize != 100<<20 {
		t.Errorf("%+v, %v", b, err)
	}
	check := func(key, want string) {
		t.Helper()
		if got := findNote(notes, key); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	check("mappedFileSizeBatchConsumeQueue", "WARN broker.properties:1: mappedFileSizeBatchConsumeQueue: a RocketMQ broker has no such key; did you mean mapperFileSizeBatchConsumeQueue?")
	check("mapedFileSizeTimerLog", "WARN broker.properties:2: mapedFileSizeTimerLog: a RocketMQ broker has no such key; did you mean mappedFileSizeTimerLog?")
}

func TestLoadBroker_TellsThatFilesCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	file := brokerFile(t, "mapedFileSizeConsumeQueue=300000")
	_, _, err := LoadBroker(Sources{File: file, FileSizes: func(string, ...string) (map[string]int64, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestWith_RefusesOldSpellingsOfSizes(t *testing.T) {
	t.Parallel()
	b, _, err := LoadBroker(Sources{File: brokerFile(t, "mapedFileSizeConsumeQueue=300000")})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = b.With(map[string]string{"mapedFileSizeConsumeQueue": "1"})
	if want := (UnknownKey{"mapedFileSizeConsumeQueue", "mappedFileSizeConsumeQueue"}); !reflect.DeepEqual(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
