package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/atrest"
)

// A run and its aliases are in different slots, so no script can write both. The
// order makes up for it. First the aliases are claimed: each is a key that leads to
// one run. Then the run is written, which lists its aliases. An alias whose run does not
// list it means nothing.
//
// Who finds an alias claimed by another run judges that run, in its slot: if it is there and lists the
// alias, the alias is taken. If it is not there, its maker may be about to write
// it, or may have died; nobody can tell. So it is voided: its maker, if he lives,
// will be refused. Of all who want one alias at the same moment the last to
// claim it is voided by nobody, and the others are refused: one wins.

// day is how long the server keeps a run after it expired, for the sweep to find it; and
// how long a run stays voided, in milliseconds.
const day = 24 * time.Hour

var (
	claimScript = rueidis.NewLuaScript(`local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] or holder == ARGV[2] then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
	return ''
end
return holder`)

	judgeScript = rueidis.NewLuaScript(`local run = redis.call('HMGET', KEYS[1], 'e', 'a')
if not run[1] then
	redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
	return 0
end
for i = 1, #run[2], 32 do
	if string.sub(run[2], i, i + 31) == ARGV[2] then
		if run[1] > ARGV[3] then return 1 end
		redis.call('DEL', KEYS[1])
		redis.call('ZREM', KEYS[3], ARGV[1])
		return 0
	end
end
return 0`)

	createScript = rueidis.NewLuaScript(`if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local expires = redis.call('HGET', KEYS[1], 'e')
if expires and expires > ARGV[8] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'e', ARGV[3], 'a', ARGV[5], 'd', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
return 1`)

	updateScript = rueidis.NewLuaScript(`local version = redis.call('HGET', KEYS[1], 'v')
if not version then return -1 end
if version ~= ARGV[8] then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'e', ARGV[3], 'a', ARGV[5], 'd', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
return 1`)
)

// Create implements [flows.Store].
func (s *Store) Create(ctx context.Context, r flows.Record, now time.Time) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := s.claim(ctx, r, digits(now)); err != nil {
		return err
	}
	n, err := createScript.Exec(ctx, s.client, []string{s.key(aRun, r.ID), s.void(r.ID), s.due(aRun, r.ID)}, s.columns(r, digits(now))).AsInt64()
	if err == nil && n == 0 {
		return flows.ErrExists
	}
	return fault(err)
}

// columns are the arguments of the scripts that write a run.
func (s *Store) columns(r flows.Record, last string) []string {
	return []string{
		r.ID, strconv.FormatInt(r.Version, 10), digits(r.Expires), score(r.Expires), string(atrest.Pack(r.Aliases)), string(r.Data),
		ttl(s.now(), r.Expires, day), last,
	}
}

func (s *Store) alias(a flows.Alias) string { return s.prefix + "a:" + string(a[:]) }

func (s *Store) void(id string) string { return s.key(aRun, id) + ":void" }

// claim makes the aliases lead to the run; [flows.ErrExists] if one of them is that
// of another run which has not expired at now. Everybody claims in the same order.
func (s *Store) claim(ctx context.Context, r flows.Record, now string) error {
	aliases := slices.Clone(r.Aliases)
	slices.SortFunc(aliases, func(a, b flows.Alias) int { return slices.Compare(a[:], b[:]) })
	if len(slices.Compact(slices.Clone(aliases))) != len(aliases) {
		return flows.ErrExists
	}
	for _, a := range aliases {
		for from := ""; ; {
			holder, err := claimScript.Exec(ctx, s.client, []string{s.alias(a)}, []string{r.ID, from, ttl(s.now(), r.Expires, slack)}).ToString()
			if err != nil {
				return fault(err)
			}
			if holder == "" {
				break
			}
			if err := s.judge(ctx, holder, a, now); err != nil {
				return err
			}
			from = holder
		}
	}
	return nil
}

// judge says [flows.ErrExists] if a run has an alias and has not expired at now.
func (s *Store) judge(ctx context.Context, id string, a flows.Alias, now string) error {
	n, err := judgeScript.Exec(ctx, s.client, []string{s.key(aRun, id), s.void(id), s.due(aRun, id)},
		[]string{id, string(a[:]), now, strconv.FormatInt(day.Milliseconds(), 10)}).AsInt64()
	if err == nil && n == 1 {
		return flows.ErrExists
	}
	return fault(err)
}

// Load implements [flows.Store].
func (s *Store) Load(ctx context.Context, a flows.Alias, now time.Time) (flows.Record, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return flows.Record{}, err
	}
	defer done()
	id, err := s.client.Do(ctx, s.client.B().Get().Key(s.alias(a)).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return flows.Record{}, flows.ErrNotFound
	}
	if err != nil {
		return flows.Record{}, fault(err)
	}
	r, err := record(id, s.client.Do(ctx, s.fields(id)))
	if err == nil && (!now.Before(r.Expires) || !slices.Contains(r.Aliases, a)) {
		err = flows.ErrNotFound
	}
	if err != nil {
		return flows.Record{}, err
	}
	return r, nil
}

func (s *Store) fields(id string) rueidis.Completed {
	return s.client.B().Hmget().Key(s.key(aRun, id)).Field("v", "e", "a", "d").Build()
}

// record reads a run; [flows.ErrNotFound] if it is not there.
func record(id string, res rueidis.RedisResult) (flows.Record, error) {
	values, err := res.ToArray()
	if err != nil {
		return flows.Record{}, fault(err)
	}
	texts := make([]string, len(values))
	for i, v := range values {
		if texts[i], err = v.ToString(); rueidis.IsRedisNil(err) {
			return flows.Record{}, flows.ErrNotFound
		} else if err != nil {
			return flows.Record{}, fault(err)
		}
	}
	version, err1 := strconv.ParseInt(texts[0], 10, 64)
	expires, err2 := instantOf(texts[1])
	if err := errors.Join(err1, err2); err != nil {
		return flows.Record{}, fmt.Errorf("redis: run: %w", err)
	}
	return flows.Record{ID: id, Version: version, Expires: expires, Aliases: atrest.Unpack([]byte(texts[2])), Data: []byte(texts[3])}, nil
}

// Update implements [flows.Store]. [flows.ErrExists] if one of the aliases
// belongs to another run that is still here, even if its time is over.
func (s *Store) Update(ctx context.Context, r flows.Record) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := s.claim(ctx, r, ""); err != nil { // every instant comes after ""
		return err
	}
	n, err := updateScript.Exec(ctx, s.client, []string{s.key(aRun, r.ID), s.due(aRun, r.ID)}, s.columns(r, strconv.FormatInt(r.Version-1, 10))).AsInt64()
	switch {
	case err != nil:
		return fault(err)
	case n < 0:
		return flows.ErrNotFound
	case n == 0:
		return flows.ErrConflict
	}
	return nil
}

// Expired implements [flows.Store].
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]flows.Record, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ids, err := s.oldest(ctx, aRun, now, limit)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var asked rueidis.Commands
	for _, id := range ids {
		asked = append(asked, s.fields(id))
	}
	var out []flows.Record
	for i, res := range s.client.DoMulti(ctx, asked...) {
		r, err := record(ids[i], res)
		switch {
		case errors.Is(err, flows.ErrNotFound):
		case err != nil:
			return nil, err
		case !now.Before(r.Expires):
			out = append(out, r)
		}
	}
	return out, nil
}

// DeleteExpired implements [flows.Store].
func (s *Store) DeleteExpired(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, aRun, now, limit)
}
