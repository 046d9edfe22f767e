package account

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the form in which lists of breached passwords are published
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrList reports a file that is no list of blocked passwords.
var ErrList = errors.New("account: no list of blocked passwords")

const (
	longestLine = 1024
	samples     = 512
)

// SortedList is a file of passwords in the order of their bytes (sort with
// LC_ALL=C), one a line: the passwords themselves, in lower case, or their SHA-1
// in capital hexadecimal digits, perhaps with a count behind a colon, as breached
// passwords are published. It is searched where it lies and never read as a
// whole, so that it may have any length. Safe for concurrent use.
type SortedList struct {
	file   io.ReaderAt
	close  func() error
	size   int64
	hashed bool
}

// OpenSortedList opens a list and looks at samples of it. [ErrList] if they are
// out of order.
func OpenSortedList(path string) (*SortedList, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrList, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrList, err), f.Close())
	}
	l := &SortedList{file: f, close: f.Close, size: info.Size()}
	if err := l.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrList, path, err), f.Close())
	}
	return l, nil
}

// Close closes the file.
func (l *SortedList) Close() error { return l.close() }

// Has implements [Blocked].
func (l *SortedList) Has(ctx context.Context, password string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if l.hashed {
		sum := sha1.Sum([]byte(password)) //nolint:gosec // see above
		return l.find(bytes.ToUpper(hex.AppendEncode(nil, sum[:])))
	}
	for _, spelling := range []string{password, folded(password)} {
		if found, err := l.find([]byte(spelling)); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// find searches by halves: between low and high begin the lines that it can be.
func (l *SortedList) find(want []byte) (bool, error) {
	low, high := int64(0), l.size
	for low < high {
		middle := low + (high-low)/2
		line, begin, next, err := l.lineAt(middle, low)
		if err != nil {
			return false, err
		}
		switch c := bytes.Compare(l.key(line), want); {
		case c == 0:
			return true, nil
		case c < 0:
			low = next
		default:
			high = begin
		}
	}
	return false, nil
}

// key is the part of a line that the lines are sorted by.
func (l *SortedList) key(line []byte) []byte {
	if l.hashed {
		line, _, _ = bytes.Cut(line, []byte(":"))
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// lineAt reads the line that the byte at offset belongs to. It begins at least
// at from, where a line begins.
func (l *SortedList) lineAt(offset, from int64) (line []byte, begin, next int64, err error) {
	begin = max(from, offset-longestLine)
	buffer := make([]byte, min(l.size, offset+longestLine)-begin)
	if n, err := l.file.ReadAt(buffer, begin); n < len(buffer) {
		return nil, 0, 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	at := int(offset - begin)
	if i := bytes.LastIndexByte(buffer[:at], '\n'); i >= 0 {
		buffer, begin = buffer[i+1:], begin+int64(i)+1
	} else if begin > from {
		return nil, 0, 0, fmt.Errorf("%w: a line is longer than %d bytes", ErrList, longestLine)
	}
	i := bytes.IndexByte(buffer, '\n')
	switch {
	case i >= 0:
		return buffer[:i], begin, begin + int64(i) + 1, nil
	case begin+int64(len(buffer)) == l.size:
		return buffer, begin, l.size, nil
	}
	return nil, 0, 0, fmt.Errorf("%w: a line is longer than %d bytes", ErrList, longestLine)
}

// check looks at lines all over the file.
func (l *SortedList) check() error {
	if l.size == 0 {
		return errors.New("it is empty")
	}
	var last []byte
	for i := range int64(samples) {
		line, _, _, err := l.lineAt(i*(l.size-1)/(samples-1), 0)
		if err != nil {
			return err
		}
		if i == 0 {
			head, _, _ := bytes.Cut(line, []byte(":"))
			_, err := hex.DecodeString(string(head))
			l.hashed = err == nil && len(head) == 2*sha1.Size && bytes.Equal(head, bytes.ToUpper(head))
		}
		key := l.key(line)
		if bytes.Compare(last, key) > 0 {
			return fmt.Errorf("it is not sorted: a line is out of order near byte %d", i*(l.size-1)/(samples-1))
		}
		last = bytes.Clone(key)
	}
	return nil
}
