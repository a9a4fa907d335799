package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// readable replaces the times in ms that a group's reads have by text, behind the rest.
func (o object) readable() object {
	var times object
	for _, t := range [][2]string{{"lastColdReadTimeMills", "lastColdReadTimeFormat"}, {"createTimeMills", "createTimeFormat"}} {
		o = slices.DeleteFunc(o, func(f objectField) bool {
			raw, ok := f.value.(json.RawMessage)
			ms, err := strconv.ParseInt(string(raw), 10, 64)
			if f.name != t[0] || !ok || err != nil {
				return false
			}
			times = append(times, objectField{t[1], json.RawMessage(strconv.Quote(timeText(ms, timeSeconds)))})
			return true
		})
	}
	return append(o, times...)
}

// eachMember calls do for each broker that t names, with the line that Apache's tool puts before it.
func (a *Admin) eachMember(ctx context.Context, t target, do func(ctx context.Context, head, addr string) error) error {
	all, err := a.members(ctx, t)
	if err != nil {
		return err
	}
	masters := make(map[string]string)
	for _, m := range all {
		if m.id == protocol.MasterID {
			masters[m.name] = m.addr
		}
	}
	for _, m := range all {
		head := fmt.Sprintf(" ============%s============\n", m.addr)
		if m.name != "" && m.id == protocol.MasterID {
			head = fmt.Sprintf(" ============Master: %s============\n", m.addr)
		} else if m.name != "" {
			head = fmt.Sprintf(" ============My Master: %s=====Slave: %s============\n", cmp.Or(masters[m.name], "NO_MASTER"), m.addr)
		}
		if err := do(ctx, head, m.addr); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admin) getColdDataFlowCtrInfo() *cobra.Command {
	var to target
	c := a.command("getColdDataFlowCtrInfo", "Show what groups read of what is no longer in memory", func(ctx context.Context) error {
		return a.eachMember(ctx, to, func(ctx context.Context, head, addr string) error {
			body, err := a.pool.ColdReadInfo(ctx, addr)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return a.show(map[string]any{"broker": addr}, func(w io.Writer) { fmt.Fprintf(w, "%sBroker[%s] has no cold ctr table !\n", head, addr) })
			}
			standard, err := fastjson.Standard(body)
			if err != nil {
				return err
			}
			info, err := readObject(standard)
			if err != nil {
				return err
			}
			for _, f := range info {
				if table, ok := f.value.(object); ok && f.name == "runtimeTable" {
					for i, group := range table {
						if reads, ok := group.value.(object); ok {
							table[i].value = reads.readable()
						}
					}
				}
			}
			return a.show(map[string]any{"broker": addr, "coldReads": json.RawMessage(standard)}, func(w io.Writer) {
				io.WriteString(w, head)
				info.print(w, 0)
				fmt.Fprintln(w)
			})
		})
	})
	to.either(c)
	return c
}

func (a *Admin) updateColdDataFlowCtrGroupConfig() *cobra.Command {
	var to target
	var group, limit string
	c := a.command("updateColdDataFlowCtrGroupConfig", "Limit what a group reads of what is no longer in memory", func(ctx context.Context) error {
		if n, err := strconv.ParseInt(limit, 10, 64); err != nil || n < 0 {
			return misuse(fmt.Errorf("--threshold=%s is wrong: it must be a number of bytes", limit))
		}
		return a.eachMaster(ctx, to, func(ctx context.Context, addr string) error {
			if err := a.pool.LimitColdReads(ctx, addr, group, limit); err != nil {
				return err
			}
			return a.told(addr, "limit cold reads of "+group+" to "+limit, "updateColdDataFlowCtrGroupConfig success, %s\n", addr)
		})
	})
	to.either(c)
	required(c, &group, "consumerGroup", "g", "`GROUP`")
	required(c, &limit, "threshold", "v", "`BYTES`")
	return c
}

// eachMaster calls do for each master that t names. It goes on when one fails, and ends with what went wrong.
func (a *Admin) eachMaster(ctx context.Context, t target, do func(ctx context.Context, addr string) error) error {
	all, err := a.masters(ctx, t)
	if err != nil {
		return err
	}
	var failed error
	for _, m := range all {
		if err := do(ctx, m.addr); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (a *Admin) removeColdDataFlowCtrGroupConfig() *cobra.Command {
	var to target
	var group string
	var dryRun bool
	c := a.command("removeColdDataFlowCtrGroupConfig", "Take a group's own limit of such reads away", func(ctx context.Context) error {
		var changes []change
		err := a.eachMaster(ctx, to, func(ctx context.Context, addr string) error {
			limit := "it has none of its own"
			if body, err := a.pool.ColdReadInfo(ctx, addr); err == nil && len(body) > 0 {
				var info struct {
					ConfigTable map[string]int64 `json:"configTable"`
				}
				if err := fastjson.Unmarshal(body, &info); err != nil {
					return err
				}
				if n, ok := info.ConfigTable[group]; ok {
					limit = fmt.Sprintf("%d bytes", n)
				}
			}
			changes = append(changes, change{what: fmt.Sprintf("remove the limit of cold reads of group %s (%s) at %s", group, limit, addr), do: func(ctx context.Context) error {
				if err := a.pool.UnlimitColdReads(ctx, addr, group); err != nil {
					return err
				}
				return a.told(addr, "remove limit of cold reads of "+group, "remove broker cold read threshold success, %s\n", addr)
			}})
			return nil
		})
		if err != nil {
			return err
		}
		return a.carry(ctx, dryRun, changes)
	})
	to.either(c)
	required(c, &group, "consumerGroup", "g", "`GROUP`")
	dryRunFlag(c, &dryRun)
	return c
}

func (a *Admin) setCommitLogReadAheadMode() *cobra.Command {
	var to target
	var mode string
	c := a.command("setCommitLogReadAheadMode", "Say how the commit log is read ahead", func(ctx context.Context) error {
		if mode != "0" && mode != "1" {
			return misuse(fmt.Errorf("set the read mode error; 0 is default, 1 random read: it is %q", mode))
		}
		return a.eachMember(ctx, to, func(ctx context.Context, head, addr string) error {
			remark, err := a.pool.SetReadMode(ctx, addr, int32(mode[0]-'0'))
			if err != nil {
				return err
			}
			return a.told(addr, "read mode "+mode, "%scommitLog set readAhead mode rstStr%s\n", head, cmp.Or(remark, "null"))
		})
	})
	to.either(c)
	required(c, &mode, "commitLogReadAheadMode", "m", "`MODE`: 0 as usual, 1 at random")
	return c
}
