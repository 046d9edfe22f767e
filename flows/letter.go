package flows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A letter is the notices of one change, kept in the store until they are
// delivered: a run may end, and every node with it, before a mail server that is
// down is up again. A code that is lost is asked for again; nobody asks for a
// notice. It is a record beside the runs, which expires when it is to be looked after.
type letter struct {
	Change  string    `json:"change"`
	Notices []Message `json:"notices"`
}

const (
	letterPrefix = "letter." // no run has an id with a full stop
	letterEvery  = 2 * time.Minute
)

func isLetter(r Record) bool { return strings.HasPrefix(r.ID, letterPrefix) }

func letterAAD(id string, version int64) []byte {
	return fmt.Appendf(nil, "letter\x00%s\x00%d", id, version)
}

// notify keeps the notices of a change and hands them over. The same again is the same letter.
func (e *Engine) notify(ctx context.Context, change string, notices []Message) error {
	now := e.cfg.Now().UTC()
	useful := slices.ContainsFunc(notices, func(m Message) bool { return now.Before(m.Expires) })
	if !useful || e.cfg.Outbox == nil {
		return nil
	}
	rec, err := e.letterRecord(letter{change, notices}, 1, now)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.Create(ctx, rec, now); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: notice: %w", ErrUnavailable, err)
	}
	for i, m := range notices {
		if m.To == "" || !now.Before(m.Expires) {
			continue
		}
		if err := e.cfg.Outbox.Put(ctx, noticeKey(change, i), m); err != nil { // the letter is there, and will be carried on
			e.cfg.Logger.Warn("notice waits", zap.String("change", change), zap.Error(err))
		}
	}
	return nil
}

func noticeKey(change string, i int) string { return fmt.Sprintf("%s.notice.%d", change, i) }

func (e *Engine) letterRecord(l letter, version int64, now time.Time) (Record, error) {
	plain, err := json.Marshal(l)
	if err != nil {
		return Record{}, fmt.Errorf("flows: encode letter: %w", err)
	}
	id := letterPrefix + l.Change
	data, err := e.cfg.Sealer.Seal(plain, letterAAD(id, version))
	if err != nil {
		return Record{}, fmt.Errorf("flows: seal letter: %w", err)
	}
	return Record{ID: id, Version: version, Expires: now.Add(letterEvery), Data: data}, nil
}

// carryOn looks after a letter: what was not delivered is handed over once more,
// and the letter stays; else it may be deleted.
func (e *Engine) carryOn(ctx context.Context, rec Record, now time.Time) (stays bool, err error) {
	plain, err := e.cfg.Sealer.Open(rec.Data, letterAAD(rec.ID, rec.Version))
	var l letter
	if err == nil {
		err = json.Unmarshal(plain, &l)
	}
	if err != nil || e.cfg.Outbox == nil {
		e.cfg.Logger.Error("letter does not open, or nothing carries it", zap.String("letter", rec.ID), zap.Error(err))
		return false, nil
	}
	left := map[string]Message{}
	for i, m := range l.Notices {
		if m.To == "" || !now.Before(m.Expires) {
			continue
		}
		delivered, err := e.cfg.Outbox.Delivered(ctx, noticeKey(l.Change, i))
		if err != nil {
			return false, fmt.Errorf("%w: notice: %w", ErrUnavailable, err)
		}
		if !delivered {
			left[noticeKey(l.Change, i)] = m
		}
	}
	if len(left) == 0 {
		return false, nil
	}
	next, err := e.letterRecord(l, rec.Version+1, now)
	if err != nil {
		return false, err
	}
	err = e.cfg.Store.Update(ctx, next)
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) { // another node looks after it
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for key, m := range left {
		if err := e.cfg.Outbox.Put(ctx, key, m); err != nil {
			e.cfg.Logger.Warn("notice waits", zap.String("message", key), zap.Error(err))
		}
	}
	return true, nil
}
