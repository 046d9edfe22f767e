package dpop

import (
	"errors"
	"net/url"
	"strings"
)

// normalise returns an http or https URL without query and fragment in the
// normal form of RFC 3986 §6.2.2 (case, percent-encoding, dot segments) and
// §6.2.3 (default port, empty path). What the RFC does not call equivalent
// stays different, such as "//" and "/".
func normalise(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("not a URL")
	}
	// url.Parse has put the scheme in lower case.
	if u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("not an http URL")
	}
	if u.Hostname() == "" || u.User != nil {
		return "", errors.New("not a host alone")
	}
	return u.Scheme + "://" + authority(u) + removeDots(plainEscapes(u.EscapedPath())), nil
}

func authority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

// plainEscapes decodes the escapes of unreserved characters and puts the rest
// in upper case. The path comes from url.Parse, so every escape is well formed.
func plainEscapes(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		if isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}

// removeDots is remove_dot_segments (§5.2.4) for an absolute path; an empty
// path becomes "/".
func removeDots(path string) string {
	in := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var out []string
	for i, segment := range in {
		last := i == len(in)-1
		switch segment {
		case ".", "..":
			if segment == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}
