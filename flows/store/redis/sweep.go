package redis

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// dropScript deletes what has expired. What somebody has given more time meanwhile
// stays; of what the server has tidied up only the entry in the list is left.
var dropScript = rueidis.NewLuaScript(`local expires
if ARGV[3] == 'r' then expires = redis.call('HGET', KEYS[1], 'e')
elseif redis.call('EXISTS', KEYS[1]) == 1 then expires = redis.call('GETRANGE', KEYS[1], 0, 19) end
if expires and expires > ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])`)

// oldest returns the names of at most limit things that expired at or before now, the
// oldest first. Each part of the keys has a list of its own.
func (s *Store) oldest(ctx context.Context, k kind, now time.Time, limit int) ([]string, error) {
	asked := make(rueidis.Commands, shards)
	for i := range asked {
		asked[i] = s.client.B().Zrangebyscore().Key(s.dueOf(k, i)).Min("-inf").Max(score(now)).Withscores().Limit(0, int64(limit)).Build()
	}
	var all []rueidis.ZScore
	for _, res := range s.client.DoMulti(ctx, asked...) {
		some, err := res.AsZScores()
		if err != nil {
			return nil, fault(err)
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b rueidis.ZScore) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Member, b.Member))
	})
	names := make([]string, min(limit, len(all)))
	for i := range names {
		names[i] = all[i].Member
	}
	return names, nil
}

// sweepStep bounds what is sent at once, so that others need not wait long.
const sweepStep = 200

// sweep deletes at most limit things that expired at or before now, the oldest first, in small steps.
func (s *Store) sweep(ctx context.Context, k kind, now time.Time, limit int) (int, error) {
	deleted := 0
	for deleted < limit {
		n, more, err := s.sweepSome(ctx, k, now, min(sweepStep, limit-deleted))
		deleted += n
		if err != nil || !more {
			return deleted, err
		}
	}
	return deleted, nil
}

// sweepSome is one step; more says whether there may be more to do.
func (s *Store) sweepSome(ctx context.Context, k kind, now time.Time, limit int) (deleted int, more bool, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, false, err
	}
	defer done()
	names, err := s.oldest(ctx, k, now, limit)
	if err != nil || len(names) == 0 {
		return 0, false, err
	}
	asked := make([]rueidis.LuaExec, len(names))
	for i, name := range names {
		asked[i] = rueidis.LuaExec{Keys: []string{s.key(k, name), s.due(k, name)}, Args: []string{name, digits(now), string(k)}}
	}
	for _, res := range dropScript.ExecMulti(ctx, s.client, asked...) {
		n, err := res.AsInt64()
		if err != nil {
			return deleted, false, fault(err)
		}
		deleted += int(n)
	}
	return deleted, len(names) == limit && deleted > 0, nil
}
