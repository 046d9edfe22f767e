// Package bench measures five things. The limits are benchmarks of the tests that
// must not take longer than the table in limits.go says.
//
// The server is measured by complete sign-ins through the HTTP API (start,
// password, one-time code, token verified) beside a floor that is measured in
// the same run, on the same machine, by the same driver: see [Floor].
//
// Sign-ons at a provider are measured by the CPU that the server takes for each,
// beside a floor too: see [ssoFloor].
//
// Decisions of the gateway are measured beside bare handlers: see measureGateway. So is
// what the authorization server does for services: see measureClients.
//
// The server of sign-ins and its floor are processes of their own, one after the other,
// each with a fresh store. What is printed is what the driver and the operating
// system saw: throughput, latencies, CPU, allocations and resident memory.
package bench

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	_ "modernc.org/sqlite" // reads the size of a run's row from the store that was just measured
)

// Commands that the same binary is started with as a server process.
const (
	ServeCommand = "bench-serve"
	FloorCommand = "bench-floor"
)

type options struct {
	flows, hashed, atOnce int
	json                  bool
	part                  string
}

// report is what is printed as JSON.
type report struct {
	Limits  []limit    `json:"limits,omitempty"`
	Server  []result   `json:"server,omitempty"`
	SSO     []signOn   `json:"sso,omitempty"`
	Gateway []decision `json:"gateway,omitempty"`
	Clients []decision `json:"clients,omitempty"`
}

// result is one row of the table.
type result struct {
	Store          string        `json:"store"`
	Hash           string        `json:"passwordHash"`
	Server         string        `json:"server"`
	FlowsPerSecond float64       `json:"flowsPerSecond"`
	FlowP50        time.Duration `json:"flowP50"`
	FlowP99        time.Duration `json:"flowP99"`
	RequestP50     time.Duration `json:"requestP50"`
	RequestP99     time.Duration `json:"requestP99"`
	CPUPerFlow     time.Duration `json:"cpuPerFlow"`
	Allocs         float64       `json:"allocationsPerRequest"`
	Bytes          float64       `json:"bytesPerRequest"`
	ResidentKB     int           `json:"residentKB"`
}

// Run runs the benchmarks with command-line arguments, in the repository at
// root, and prints a table of each part.
func Run(ctx context.Context, root string, args []string, out io.Writer) error {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&o.flows, "flows", 3000, "sign-ins to measure where hashing is left out")
	fs.IntVar(&o.hashed, "hashed", 300, "sign-ins to measure with hashing at the default cost")
	fs.IntVar(&o.atOnce, "at-once", 8, "sign-ins at the same time")
	fs.BoolVar(&o.json, "json", false, "print JSON")
	fs.StringVar(&o.part, "part", "", "limits (what must not take longer than it may), server (sign-ins), sso (sign-ons at a provider), gateway (its decisions) or clients (tokens and introspection of services); default: all")
	if err := fs.Parse(args); err != nil {
		return err
	}
	var r report
	var err error
	asked := func(part string) bool { return o.part == "" || o.part == part }
	if asked("limits") {
		r.Limits = limits()
		err = measureLimits(ctx, root, r.Limits)
	}
	if err == nil && asked("server") {
		r.Server, err = measureServer(ctx, o)
	}
	if err == nil && asked("sso") {
		r.SSO, err = measureSSO(ctx, o.flows)
	}
	if err == nil && asked("gateway") {
		r.Gateway, err = measureGateway(ctx, 10*o.flows)
	}
	if err == nil && asked("clients") {
		r.Clients, err = measureClients(ctx, o.flows)
	}
	if err != nil {
		return err
	}
	return r.print(out, o.json)
}

func (r report) print(out io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(enc.Encode(r), printLimits(io.Discard, r.Limits), tableGateway(io.Discard, r.Gateway), tableGateway(io.Discard, r.Clients))
	}
	var errs []error
	if r.Limits != nil {
		errs = append(errs, printLimits(out, r.Limits))
	}
	if r.Server != nil {
		errs = append(errs, table(out, r.Server))
	}
	if r.SSO != nil {
		errs = append(errs, tableSSO(out, r.SSO))
	}
	if r.Gateway != nil {
		errs = append(errs, tableGateway(out, r.Gateway))
	}
	if r.Clients != nil {
		errs = append(errs, tableGateway(out, r.Clients))
	}
	return errors.Join(errs...)
}

func measureServer(ctx context.Context, o options) ([]result, error) {
	var all []result
	for _, s := range []setting{
		{Store: "memory", People: o.flows},
		{Store: "sqlite", Durability: "full", People: o.flows},
		{Store: "sqlite", Durability: "full", People: o.hashed, Hash: true},
	} {
		pair, err := compare(ctx, s, o.atOnce)
		if err != nil {
			return nil, err
		}
		all = append(all, pair...)
	}
	return all, nil
}

// compare measures the server and then its floor.
func compare(ctx context.Context, s setting, atOnce int) ([]result, error) {
	folder, err := os.MkdirTemp("", "stile-bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	s.Folder, s.RunBytes = folder, 1500
	mine, err := one(ctx, ServeCommand, s, atOnce)
	if err != nil {
		return nil, err
	}
	if s.Store == "sqlite" {
		if s.RunBytes, err = runBytes(ctx, filepath.Join(folder, "stile.db")); err != nil {
			return nil, err
		}
	}
	least, err := one(ctx, FloorCommand, s, atOnce)
	return []result{mine, least}, err
}

// runBytes is the mean size of the rows of runs in the store that was measured.
func runBytes(ctx context.Context, path string) (int, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var mean float64
	err = db.QueryRowContext(ctx, "SELECT avg(length(data)) FROM runs").Scan(&mean)
	return int(mean), err
}

func one(ctx context.Context, command string, s setting, atOnce int) (result, error) {
	r := result{Store: s.Store, Hash: "none", Server: "stile"}
	if s.Hash {
		r.Hash = "argon2id"
	}
	if command == FloorCommand {
		r.Server, r.Hash = "floor", "none"
	}
	p, err := spawn(ctx, command, s)
	if err != nil {
		return r, err
	}
	defer p.end()
	if _, err := drive(ctx, p.URL, p.People[:len(p.People)/10], atOnce); err != nil { // warm up
		return r, err
	}
	before, err := measure(ctx, p.cmd.Process.Pid, p.URL)
	if err != nil {
		return r, err
	}
	l, err := drive(ctx, p.URL, p.People[len(p.People)/10:], atOnce)
	if err != nil {
		return r, err
	}
	after, err := measure(ctx, p.cmd.Process.Pid, p.URL)
	if err != nil {
		return r, err
	}
	r.FlowsPerSecond = float64(l.Flows) / l.Wall.Seconds()
	r.FlowP50, r.FlowP99, r.RequestP50, r.RequestP99 = at(l.Flow, 50), at(l.Flow, 99), at(l.Request, 50), at(l.Request, 99)
	r.CPUPerFlow = (after.cpu - before.cpu) / time.Duration(l.Flows)
	r.Allocs = (after.allocs - before.allocs) / float64(l.Requests)
	r.Bytes = (after.bytes - before.bytes) / float64(l.Requests)
	r.ResidentKB = after.resident
	return r, nil
}

// process is a server process that is ready.
type process struct {
	ready
	cmd *exec.Cmd
}

func spawn(ctx context.Context, command string, s setting) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, command)} // this very binary
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(s); err != nil {
		p.end()
		return nil, err
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&p.ready); err != nil {
		p.end()
		return nil, fmt.Errorf("bench: %s did not start: %w", command, err)
	}
	return p, nil
}

func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

func table(out io.Writer, all []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "store\thash\tserver\tflows/s\tflow p50\tp99\trequest p50\tp99\tCPU/flow\tallocs/req\tkB/req\tresident MB\tof floor\t")
	for i, r := range all {
		ratio := "1.00"
		if r.Server == "stile" {
			ratio = fmt.Sprintf("%.2f", r.FlowsPerSecond/all[i+1].FlowsPerSecond)
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.1f\t%.1f\t%s\t\n", r.Store, r.Hash, r.Server, r.FlowsPerSecond,
			ms(r.FlowP50), ms(r.FlowP99), ms(r.RequestP50), ms(r.RequestP99), ms(r.CPUPerFlow), r.Allocs, r.Bytes/1024, float64(r.ResidentKB)/1024, ratio)
	}
	return w.Flush()
}
