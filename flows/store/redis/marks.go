package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"

	"github.com/stile-auth/stile/flows"
)

// A mark is the instant at which it expires, and its owner.
var takeScript = rueidis.NewLuaScript(`local held = redis.call('GET', KEYS[1])
if held then
	local expires, owner = string.sub(held, 1, 20), string.sub(held, 21)
	if owner ~= ARGV[2] and expires > ARGV[3] then return 0 end
	if owner == ARGV[2] and expires > ARGV[4] then return 1 end
end
redis.call('SET', KEYS[1], ARGV[4] .. ARGV[2], 'PX', ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
return 1`)

// TakeMark implements [flows.Marks].
func (s *Store) TakeMark(ctx context.Context, mark, owner string, now, expires time.Time) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	n, err := takeScript.Exec(ctx, s.client, []string{s.key(aMark, mark), s.due(aMark, mark)},
		[]string{mark, owner, digits(now), digits(expires), score(expires), ttl(now, expires, slack)}).AsInt64()
	if err == nil && n == 0 {
		return flows.ErrTaken
	}
	return fault(err)
}

// DeleteExpiredMarks implements [flows.Marks].
func (s *Store) DeleteExpiredMarks(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.sweep(ctx, aMark, now, limit)
}
